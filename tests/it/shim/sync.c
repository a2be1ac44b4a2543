/* Preloaded into stanzad by tests: a disk whose syncs hang, fail, take their time or none.
 *
 * STANZAD_SHIM_DIR      only files below this directory are meant
 * STANZAD_SHIM_CONTROL  a file with one word: "ok", "hang", "fail", "slow" (10 ms more) or "none" (not synced at all);
 *                       asked at each sync, and again and again while it hangs
 * STANZAD_SHIM_LOG      one letter is appended for each event: 'b' a sync began, 'h' it hangs, 's' it succeeded, 'f' it failed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void note(char event) {
    const char *path = getenv("STANZAD_SHIM_LOG");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    if (write(file, &event, 1) != 1) abort();
    close(file);
}

/* The first letter of the control file's word. */
static char mode(void) {
    const char *path = getenv("STANZAD_SHIM_CONTROL");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char word = 'o';
    if (file < 0) return word;
    if (read(file, &word, 1) != 1) word = 'o';
    close(file);
    return word;
}

static int meant(int file) {
    const char *dir = getenv("STANZAD_SHIM_DIR");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!dir || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, dir, strlen(dir)) == 0;
}

static int sync_file(int file, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (!meant(file)) return real(file);
    note('b');
    char now = mode();
    if (now == 'h') note('h');
    while (now == 'h') {
        sleep_ms(1);
        now = mode();
    }
    if (now == 'f') {
        note('f');
        errno = EIO;
        return -1;
    }
    if (now == 's') sleep_ms(10);
    int result = now == 'n' ? 0 : real(file);
    note(result == 0 ? 's' : 'f');
    return result;
}

int fsync(int file) { return sync_file(file, "fsync"); }
int fdatasync(int file) { return sync_file(file, "fdatasync"); }
