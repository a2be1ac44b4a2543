//! A disk that obeys: stanzad runs with `sync.c` preloaded, which counts its syncs and makes them hang, fail or slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Setup};

/// What a sync does from now on.
#[derive(Clone, Copy, Debug)]
pub enum Syncs {
    Work,
    Hang,
    Fail,
    /// 10 ms each.
    Slow,
    /// Nothing, at once: for tests that are about something else.
    Skip,
}

/// What happened to a sync.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Hung,
    Done,
}

/// The disk under one daemon's data directory.
pub struct Disk {
    control: PathBuf,
    log: PathBuf,
}

impl Disk {
    /// Puts such a disk under a daemon that is to be started.
    pub fn under(setup: Setup) -> (Setup, Disk) {
        let disk = Disk {
            control: setup.directory().join("sync.control"),
            log: setup.directory().join("sync.log"),
        };
        disk.set(Syncs::Work);
        fs::write(&disk.log, "").unwrap();
        // The shim compares real paths.
        let directory = setup.directory().canonicalize().unwrap();
        let setup = setup
            .env("LD_PRELOAD", shim())
            .env("STANZAD_SHIM_DIR", &directory.join("data"))
            .env("STANZAD_SHIM_CONTROL", &disk.control)
            .env("STANZAD_SHIM_LOG", &disk.log);
        (setup, disk)
    }

    pub fn set(&self, syncs: Syncs) {
        let word = match syncs {
            Syncs::Work => "ok",
            Syncs::Hang => "hang",
            Syncs::Fail => "fail",
            Syncs::Slow => "slow",
            Syncs::Skip => "none",
        };
        // Renamed into place: the shim never sees half of it.
        let next = self.control.with_extension("next");
        fs::write(&next, word).unwrap();
        fs::rename(next, &self.control).unwrap();
    }

    /// How often that has happened.
    pub fn count(&self, event: Event) -> usize {
        let letter = match event {
            Event::Hung => b'h',
            Event::Done => b's',
        };
        let log = fs::read(&self.log).unwrap();
        log.into_iter().filter(|have| *have == letter).count()
    }

    /// Waits until a sync hangs that did not when there were `before`.
    pub fn wait_hung(&self, before: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(Event::Hung) <= before {
            assert!(Instant::now() < deadline, "no sync hangs");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The compiled shim, made once per run with the C compiler that the build needs anyway.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim/sync.c");
        // A name of its own for each process: one run must not replace what another's daemon has mapped.
        let library =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sync-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args([
                "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
            ])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(status.unwrap().success(), "cc cannot compile {source:?}");
        library
    })
}
