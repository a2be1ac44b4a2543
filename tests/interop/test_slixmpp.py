"""slixmpp against a real stanzad: log in, talk, be answered by the script, find what was kept.

Run by tests/run; alone: target/venv/bin/python -m unittest discover -v -s tests/interop
"""

import unittest

from client import Client, WithDaemon
from daemon import PATIENCE, Daemon

EDIT = """
hook("client_message_recv", 1000, function(sess, msg)
  if tostring(msg:to()) == "echo@localhost" then
    xmpp.routeStanza(msg:reply("edited live"))
    return xmpp.DONE
  end
end)
"""


class Interop(WithDaemon):
    async def talk(self, tls, mechanism):
        """Two log in, talk both ways, and each is answered by echo."""
        alice_name, bob_name = self.users("alice", "bob")
        alice = await Client(self.daemon, alice_name, tls, mechanism).online()
        bob = await Client(self.daemon, bob_name, tls, mechanism).online()
        self.assertEqual(alice.plugin["feature_mechanisms"].mech.name, mechanism)

        alice.send_message(mto=bob.boundjid.bare, mbody="hello bob", mtype="chat")
        heard = await bob.message()
        self.assertEqual(heard["body"], "hello bob")
        self.assertEqual(heard["from"], alice.boundjid)
        heard.reply("hello alice").send()
        self.assertEqual((await alice.message())["body"], "hello alice")

        for client in (alice, bob):
            client.send_message(mto="echo@localhost", mbody="is anybody there?", mtype="chat")
            answer = await client.message()
            self.assertEqual(answer["from"].bare, "echo@localhost")
            self.assertIn("is anybody there?", answer["body"])
        await alice.leave()
        await bob.leave()

    async def test_starttls_scram_sha_256(self):
        await self.talk("required", "SCRAM-SHA-256")

    async def test_starttls_scram_sha_1(self):
        await self.talk("required", "SCRAM-SHA-1")

    async def test_starttls_plain(self):
        await self.talk("required", "PLAIN")

    async def test_direct_tls_scram_sha_256(self):
        await self.talk("direct", "SCRAM-SHA-256")

    async def test_direct_tls_scram_sha_1(self):
        await self.talk("direct", "SCRAM-SHA-1")

    async def test_direct_tls_plain(self):
        await self.talk("direct", "PLAIN")

    async def test_messages_are_kept_in_order_and_stamped(self):
        alice_name, bob_name = self.users("alice", "bob")
        alice = await Client(self.daemon, alice_name).online()
        sent = [f"message {number}" for number in range(50)]
        for body in sent:
            alice.send_message(mto=f"{bob_name}@localhost", mbody=body, mtype="chat")
        await alice.plugin["xep_0199"].ping("localhost", timeout=PATIENCE)

        bob = await Client(self.daemon, bob_name).online()
        kept = [await bob.message() for _ in sent]
        self.assertEqual([message["body"] for message in kept], sent)
        stamps = [message["delay"]["stamp"] for message in kept]
        self.assertTrue(all(stamps), "every kept message says when it was sent")
        self.assertEqual(stamps, sorted(stamps))
        self.assertTrue(all(message["from"] == alice.boundjid for message in kept))

        await bob.leave()
        again = await Client(self.daemon, bob_name).online()
        alice.send_message(mto=again.boundjid.bare, mbody="last", mtype="chat")
        self.assertEqual((await again.message())["body"], "last", "what was delivered is not kept")
        await again.leave()
        await alice.leave()

    async def test_wrong_password_is_refused(self):
        (name,) = self.users("alice")
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
            client = Client(self.daemon, name, "direct", mechanism, password="wrong")
            with self.assertRaises(PermissionError):
                await client.online()
            client.abort()

    async def test_services_answer(self):
        (name,) = self.users("alice")
        client = await Client(self.daemon, name).online()
        info = await client.plugin["xep_0030"].get_info(jid="localhost", timeout=PATIENCE)
        self.assertIn("urn:xmpp:ping", info["disco_info"]["features"])
        version = await client.plugin["xep_0092"].get_version("localhost", timeout=PATIENCE)
        self.assertEqual(version["software_version"]["name"], "stanzad")
        await client.leave()


class Tour(unittest.IsolatedAsyncioTestCase):
    """The README's tour: edit the script, and the next message obeys it."""

    async def test_saved_script_is_obeyed_and_a_broken_one_is_reported(self):
        daemon = Daemon()
        self.addCleanup(daemon.stop)
        daemon.add_user("alice")
        alice = await Client(daemon, "alice").online()

        async def ask():
            alice.send_message(mto="echo@localhost", mbody="hello", mtype="chat")
            return (await alice.message())["body"]

        before = await ask()
        script = daemon.scripts / "dialplan.lua"
        kept = script.read_text()

        place = daemon.place()
        edited = kept + EDIT
        script.write_text(edited)
        daemon.wait_for(r"generation \d+ live on 2 workers", place)
        self.assertEqual(await ask(), "edited live")

        place = daemon.place()
        script.write_text(edited + "\nthis is not Lua\n")
        said = daemon.wait_for(r"still on \d+", place)
        self.assertRegex(said, r"dialplan\.lua:\d+")
        self.assertEqual(await ask(), "edited live")

        place = daemon.place()
        script.write_text(kept)
        daemon.wait_for(r"generation \d+ live on 2 workers", place)
        self.assertEqual(await ask(), before)
        self.assertFalse(alice.ended.done(), "nobody was disconnected")
        await alice.leave()


if __name__ == "__main__":
    unittest.main()
