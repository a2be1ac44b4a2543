"""stanzactl at a terminal: it asks for a password twice and shows none."""

import os
import pty
import select
import termios
import time
import unittest

from daemon import PATIENCE, Daemon


class Terminal:
    """stanzactl with a terminal of its own, typed at."""

    def __init__(self, daemon, *args):
        command = [daemon.bin / "stanzactl", "--socket", daemon.data / "stanzad.sock", *args]
        self.shown = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)

    def expect(self, text):
        """Reads until `text` is shown."""
        until = time.monotonic() + PATIENCE
        while text not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {text!r} on the terminal: {self.shown!r}")
            self.shown += self._read()

    def _read(self):
        try:
            got = os.read(self.terminal, 4096)
        except OSError:  # the program has closed the terminal
            got = b""
        if not got:
            raise AssertionError(f"the program has ended: {self.shown!r}")
        return got.decode()

    def type_hidden(self, line):
        """Types once the terminal echoes no more, as a person does: the prompt is written just before that."""
        until = time.monotonic() + PATIENCE
        while termios.tcgetattr(self.terminal)[3] & termios.ECHO:
            if time.monotonic() > until:
                raise AssertionError(f"the terminal echoes: {self.shown!r}")
            time.sleep(0.001)
        os.write(self.terminal, line.encode() + b"\n")

    def end(self):
        """The exit code; what is still shown goes to `shown`."""
        try:
            while True:
                self.shown += self._read()
        except AssertionError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)


class AskingForPasswords(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)

    def add(self, first, second):
        terminal = Terminal(self.daemon, "user", "add", "alice@localhost")
        terminal.expect("New password for alice@localhost: ")
        terminal.type_hidden(first)
        terminal.expect("The same again: ")
        terminal.type_hidden(second)
        code = terminal.end()
        self.assertNotIn(first, terminal.shown)
        return code, terminal.shown

    def test_same_password_twice_makes_the_user(self):
        code, shown = self.add("correct horse", "correct horse")
        self.assertEqual(code, 0, shown)
        self.assertIn("alice@localhost", self.daemon.ctl("user", "list"))

    def test_two_passwords_make_nobody(self):
        code, shown = self.add("correct horse", "battery staple")
        self.assertEqual(code, 2, shown)
        self.assertIn("the two passwords differ", shown)
        self.assertNotIn("alice", self.daemon.ctl("user", "list"))


if __name__ == "__main__":
    unittest.main()
