"""go-sendxmpp, a client for scripts, against a real stanzad: it sends, and listens."""

import shutil
import subprocess
import tempfile
import threading
import unittest

from daemon import PASSWORD, PATIENCE, Daemon


@unittest.skipUnless(shutil.which("go-sendxmpp"), "no go-sendxmpp; tests/run --install brings it")
class FromAScript(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)
        home = tempfile.TemporaryDirectory(prefix="sendxmpp-")
        self.addCleanup(home.cleanup)
        self.environment = {"HOME": home.name, "PATH": ""}

    def command(self, user, tls, *args):
        host, port = self.daemon.ports[tls]
        direct = ["--tls"] if tls == "direct" else []
        program = [shutil.which("go-sendxmpp"), "--no-tls-verify", "--jserver", f"{host}:{port}", *direct]
        return [*program, "--username", f"{user}@localhost", "--password", PASSWORD, *args]

    def test_lines_of_a_script_arrive(self):
        for user in ("alice", "bob"):
            self.daemon.add_user(user)
        for tls in ("required", "direct"):
            subprocess.run(
                self.command("alice", tls, "bob@localhost"),
                input=f"the backup is done ({tls})",
                env=self.environment,
                text=True,
                check=True,
                timeout=PATIENCE,
            )
        listening = subprocess.Popen(
            self.command("bob", "required", "--listen"), env=self.environment, stdout=subprocess.PIPE, text=True
        )
        impatient = threading.Timer(PATIENCE, listening.kill)
        impatient.start()
        try:
            heard = [listening.stdout.readline() for _ in range(2)]
        finally:
            impatient.cancel()
            listening.kill()
            listening.communicate()
        for line, tls in zip(heard, ("required", "direct")):
            self.assertRegex(line, rf"alice@localhost: the backup is done \({tls}\)$")


if __name__ == "__main__":
    unittest.main()
