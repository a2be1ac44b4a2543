"""A real stanzad for the tests of this directory, in a directory of its own.

The programs are looked for in target/release and target/debug (the newer wins), or in $STANZAD_BIN_DIR.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 30
PASSWORD = "correct horse"

CONFIG = """
hostname = "localhost"
abuse_addresses = ( "mailto:abuse@localhost" "xmpp:abuse@localhost" )
admins = ( "admin@localhost" )
script_cpu_budget = 100
script_dir = "scripts"
Domain "localhost" { XMPP_Role = "server"  Registration = "open" }
ThreadPool "default" { Concurrency = 2 }
xmpp {}
xmpp_listener {
  AuthPlainParameters = [ uri = "store:" ]
  Listen "127.0.0.1:0" { tls = "required" }
  Listen "127.0.0.2:0" { tls = "direct" }
}
control_listener { Listen "stanzad.sock" {} }
scriptlet "scriptlet" {
  script "dialplan" { source = "dialplan" }
  script "xmpp-presence" { source = "msys.xmpp.presence" }
  script "chatstates" { source = "chatstates" }
}
"""


def programs():
    """The directory with the newest stanzad."""
    named = os.environ.get("STANZAD_BIN_DIR")
    if named:
        return pathlib.Path(named)
    built = [ROOT / "target" / kind / "stanzad" for kind in ("debug", "release")]
    built = [path for path in built if path.exists()]
    if not built:
        raise FileNotFoundError("no stanzad is built: cargo build --bins")
    return max(built, key=lambda path: path.stat().st_mtime).parent


class Daemon:
    """A stanzad with a directory of its own, and perhaps more configuration."""

    def __init__(self, config=""):
        self.directory = tempfile.TemporaryDirectory(prefix="stanzad-interop-")
        self.root = pathlib.Path(self.directory.name)
        self.data = self.root / "data"
        self.scripts = self.root / "scripts"
        (self.root / "stanzad.conf").write_text(CONFIG + config)
        shutil.copytree(ROOT / "scripts", self.scripts)
        self.log = []
        self.changed = threading.Condition()
        self.bin = programs()
        self.process = subprocess.Popen(
            [self.bin / "stanzad", "-c", self.root / "stanzad.conf", "--data", self.data],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._follow, daemon=True).start()
        banner = self.wait_for(r"^ready$")
        self.ports = {}
        for host, port, how in re.findall(r"clients +([\d.]+):(\d+)  (.*)", banner):
            self.ports["direct" if how.startswith("TLS from") else "required"] = (host, int(port))

    def _follow(self):
        for line in self.process.stdout:
            with self.changed:
                self.log.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.log.append("(the daemon has ended)")
            self.changed.notify_all()

    def place(self):
        """How many lines there are."""
        with self.changed:
            return len(self.log)

    def wait_for(self, pattern, place=0):
        """Everything said up to the first line that matches, from line `place` on."""

        def found():
            return next((at for at, line in enumerate(self.log) if at >= place and re.search(pattern, line)), None)

        with self.changed:
            self.changed.wait_for(lambda: found() is not None or self.log[-1:] == ["(the daemon has ended)"], PATIENCE)
            at = found()
            said = "\n".join(self.log)
            if at is None:
                raise AssertionError(f"the daemon did not say {pattern!r}:\n{said}")
            return "\n".join(self.log[place : at + 1])

    def ctl(self, *args, stdin=""):
        """What stanzactl prints."""
        done = subprocess.run(
            [self.bin / "stanzactl", "--socket", self.data / "stanzad.sock", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"stanzactl {args}: {done.returncode}: {done.stderr}")
        return done.stdout

    def add_user(self, name):
        self.ctl("user", "add", f"{name}@localhost", "--password-stdin", stdin=PASSWORD + "\n")

    def stop(self):
        """SIGTERM; gives the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.directory.cleanup()
