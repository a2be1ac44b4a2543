"""slixmpp and its xep_0198: it loses its socket, resumes, and nothing is lost or comes twice.

Run by tests/run; alone: target/venv/bin/python -m unittest discover -v -s tests/interop -p test_resume.py
"""

import asyncio
import unittest

from client import Client, WithDaemon
from daemon import PATIENCE

ROUNDS = 5
BURST = 20


class Resuming(Client):
    """A client that enables stream management, and resumes when it is told to."""

    def __init__(self, daemon, user):
        super().__init__(daemon, user)
        self.register_plugin("xep_0198")
        self.keep("session_resumed", "sm_failed", "sm_enabled", "disconnected", "presence_unavailable")

    async def online(self):
        await super().online()
        await self.until("sm_enabled")
        return self

    async def vanish(self):
        """Loses the socket: no end of stream, and what was not sent yet stays unsent."""
        self.abort()
        await self.until("disconnected")

    async def resume(self):
        self.connect(*self.address)
        await self.until("session_resumed")

    async def heard(self, count):
        """The next messages, by what they say."""
        return [(await self.message())["body"] for _ in range(count)]


class Resume(WithDaemon):
    async def pair(self):
        alice_name, bob_name = self.users("alice", "bob")
        return await Resuming(self.daemon, alice_name).online(), await Resuming(self.daemon, bob_name).online()

    async def settle(self, *clients):
        """Nothing is on its way to them any more: each has heard only what it was asked about."""
        for client in clients:
            await client.settled()
            self.assertEqual([message["body"] for message in client.kept("message")], [])
            self.assertEqual(client.kept("sm_failed"), [])

    async def test_what_comes_while_the_socket_is_lost_comes_after_resuming(self):
        alice, bob = await self.pair()
        session = bob.boundjid.full
        for round_ in range(ROUNDS):
            said = [f"{round_}: {number}" for number in range(2 * BURST)]
            for body in said[:BURST]:
                alice.send_message(mto=bob.boundjid.bare, mbody=body, mtype="chat")
            # Some of these are on their way when the socket goes.
            await alice.settled()
            await bob.vanish()
            for body in said[BURST:]:
                alice.send_message(mto=bob.boundjid.bare, mbody=body, mtype="chat")
            await alice.settled()
            await bob.resume()
            self.assertEqual(await bob.heard(len(said)), said)
            await self.settle(alice, bob)
        self.assertEqual(bob.boundjid.full, session)
        await alice.leave()
        await bob.leave()

    async def test_what_was_not_acknowledged_is_sent_again_and_comes_once(self):
        alice, bob = await self.pair()
        for round_ in range(ROUNDS):
            said = [f"{round_}: {number}" for number in range(BURST)]
            for body in said:
                alice.send_message(mto=bob.boundjid.bare, mbody=body, mtype="chat")
            # As far as the sender comes by itself: somewhere in the middle.
            for _ in range(4 * round_):
                await asyncio.sleep(0)
            await alice.vanish()
            await alice.resume()
            self.assertEqual(await bob.heard(len(said)), said)
            await self.settle(alice, bob)
        await alice.leave()
        await bob.leave()

    async def test_nobody_notices(self):
        alice, bob = await self.pair()
        for one, other in ((alice, bob), (bob, alice)):
            one.send_presence_subscription(pto=other.boundjid.bare)
            await one.settled()
            other.send_presence_subscription(pto=one.boundjid.bare, ptype="subscribed")
            await other.settled()
        await bob.vanish()
        await bob.resume()
        await alice.settled()
        self.assertEqual(alice.kept("presence_unavailable"), [])
        # It is still available: messages come, and are not kept for a later login.
        alice.send_message(mto=bob.boundjid.bare, mbody="still there?", mtype="chat")
        heard = await bob.message()
        self.assertEqual((heard["body"], heard["delay"]["stamp"]), ("still there?", None))
        # Without a word it goes for good.
        await bob.leave()
        await asyncio.wait_for(alice.queues["presence_unavailable"].get(), PATIENCE)
        await alice.leave()


if __name__ == "__main__":
    unittest.main()
