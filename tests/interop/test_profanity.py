"""profanity, a client for terminals, driven in tmux as a person would: contacts, presence, chat, absence, blocking.

$STANZAD_SCREENS names a file that the last screens are written to.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from daemon import PASSWORD, PATIENCE, Daemon

PREFERENCES = """
[ui]
vercheck=false
splash=false
"""


class Profanity:
    """A user's profanity in a tmux of its own."""

    def __init__(self, daemon, user):
        self.daemon, self.user = daemon, user
        self.directory = tempfile.TemporaryDirectory(prefix="profanity-")
        home = pathlib.Path(self.directory.name)
        self.socket = home / "tmux"
        (home / "config" / "profanity").mkdir(parents=True)
        (home / "config" / "profanity" / "profrc").write_text(PREFERENCES)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "LANG": "C.UTF-8",
        }
        command = [*self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "30", "profanity")]
        subprocess.run(command, env=environment, check=True, timeout=PATIENCE)
        self.shows(r"\[offline\]")

    def tmux(self, *args):
        return ["tmux", "-S", self.socket, *args]

    def type(self, line):
        for keys in (["-l", line], ["Enter"]):
            subprocess.run(self.tmux("send-keys", *keys), check=True, timeout=PATIENCE)

    def screen(self):
        """What is shown above the line that is typed into."""
        shown = subprocess.run(
            self.tmux("capture-pane", "-p"), check=True, timeout=PATIENCE, capture_output=True, text=True
        ).stdout
        return "\n".join(line.rstrip() for line in shown.splitlines()[:-1] if line.strip())

    def shows(self, pattern):
        """Waits until the screen shows it; gives the screen."""
        until = time.monotonic() + PATIENCE
        while not re.search(pattern, screen := self.screen(), re.MULTILINE):
            if time.monotonic() > until:
                raise AssertionError(f"{self.user} does not see {pattern!r}:\n{screen}")
            time.sleep(0.1)
        return screen

    def clear(self):
        """What was shown is gone, so that what is seen next is new."""
        self.type("/clear")
        self.shows(r"\A[^-]*-1-\S*\Z")

    def connect(self, trusted=False):
        host, port = self.daemon.ports["required"]
        self.type(f"/connect {self.user}@localhost server {host} port {port} tls force")
        self.shows("Enter password:")
        self.type(PASSWORD)
        if not trusted:
            self.shows(r"Common name +: localhost(.|\n)*Use '/tls always'")
            self.type("/tls always")
        self.shows(rf"{self.user}@localhost/profanity\.\w+ logged in successfully")

    def end(self):
        subprocess.run(self.tmux("kill-server"), check=False, timeout=PATIENCE, stderr=subprocess.DEVNULL)
        self.directory.cleanup()


@unittest.skipUnless(shutil.which("profanity") and shutil.which("tmux"), "no profanity or no tmux; tests/run --install brings them")
class InATerminal(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)

    def start(self, user):
        self.daemon.add_user(user)
        client = Profanity(self.daemon, user)
        self.addCleanup(client.end)
        client.connect()
        return client

    def grant(self, asks, answers, known_as):
        """One asks to see the other, who agrees and is seen."""
        asks.type(f"/sub request {answers.user}@localhost")
        answers.shows(f"Received authorization request from {asks.user}@localhost")
        answers.type(f"/sub allow {asks.user}@localhost")
        asks.shows(f"Subscription received from {answers.user}@localhost")
        asks.shows(rf"{known_as} \(profanity\.\w+\) is online")

    def test_everyday_chat(self):
        alice, bob = self.start("alice"), self.start("bob")
        alice.type("/roster add bob@localhost Bobby")
        alice.shows(r"Roster item added: bob@localhost \(Bobby\)")
        self.grant(alice, bob, "Bobby")
        self.grant(bob, alice, "alice@localhost")
        alice.type("/roster")
        alice.shows(r"bob@localhost \(Bobby\) - both")
        bob.type('/status set away "gone for tea"')
        seen = alice.shows(r'Bobby \(profanity\.\w+\) is away, "gone for tea"')

        alice.type("/msg Bobby hello from a terminal")
        bob.shows(r"chat message: alice@localhost.*win 2")
        bob.type("/win 2")
        bob.shows("hello from a terminal")
        bob.type("hello alice, this is bob")
        talk = alice.shows("Bobby.*: hello alice, this is bob")

        bob.type("/disconnect")
        bob.shows("bob@localhost logged out successfully")
        alice.shows(r"^ Bobby \[offline\]")
        alice.type("call me when you are back")
        alice.shows("me: call me when you are back")
        bob.clear()
        bob.connect(trusted=True)
        bob.shows(r"chat message: alice@localhost.*win")
        bob.type("/win 2")
        late = bob.shows("alice@localhost.*: call me when you are back")

        # What her first window says of bob's coming back has been said before it is cleared.
        alice.shows(r"^ Bobby \[online\]")
        alice.type("/win 1")
        alice.clear()
        alice.type("/blocked add bob@localhost")
        bob.shows(r"^ alice@localhost \[offline\]")
        bob.type("are you still there?")
        refused = bob.shows("! Error from alice@localhost: service-unavailable")
        alice.type("/blocked")
        blocked = alice.shows(r"Blocked users:.*\n.*  bob@localhost")
        alice.type("/blocked remove bob@localhost")
        bob.shows(r"^ alice@localhost \[online\]")
        bob.type("and now?")
        alice.shows("chat message: Bobby.*win 2")

        if "STANZAD_SCREENS" in os.environ:
            screens = {"presence": seen, "chat": talk, "kept while away": late, "refused": refused, "blocked": blocked}
            text = "\n".join(f"== {name}\n{screen}\n" for name, screen in screens.items())
            pathlib.Path(os.environ["STANZAD_SCREENS"]).write_text(text)


if __name__ == "__main__":
    unittest.main()
