"""A component written with slixmpp's ComponentXMPP serves the users of a real stanzad (XEP-0114).

Run by tests/run; alone: target/venv/bin/python -m unittest discover -v -s tests/interop -p test_component.py
"""

import asyncio
import unittest

import slixmpp

from client import Client, WithDaemon
from daemon import PATIENCE

GATEWAY = "gw.localhost"
SECRET = "a long random text"


class Gateway(slixmpp.ComponentXMPP):
    """Echoes what it is told, takes every contact, and says what it is."""

    def __init__(self, daemon, secret=SECRET):
        super().__init__(GATEWAY, secret, *daemon.ports["required"])
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0092", {"software_name": "echo gateway", "version": "1"})
        self.register_plugin("xep_0199")
        self.plugin["xep_0030"].add_identity(category="gateway", itype="sms", name="Echo")
        self.began = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: self.began.set_result(None))
        self.add_event_handler("disconnected", lambda _: self.ended.done() or self.ended.set_result(None))
        self.add_event_handler("message", self._echo)
        self.add_event_handler("presence_subscribe", self._welcome)

    def _echo(self, message):
        if message["type"] in ("chat", "normal"):
            message.reply(f"{message['to'].bare} heard: {message['body']}").send()

    def _welcome(self, presence):
        self.send_presence(pto=presence["from"].bare, pfrom=presence["to"].bare, ptype="subscribed")
        self.send_presence(pto=presence["from"].bare, pfrom=presence["to"].bare, pstatus="always here")

    async def served(self):
        self.connect()
        await asyncio.wait_for(self.began, PATIENCE)
        return self

    async def leave(self):
        self.disconnect()
        await asyncio.wait_for(self.ended, PATIENCE)


class Component(WithDaemon):
    CONFIG = f'component "{GATEWAY}" {{ secret = "{SECRET}" }}\n'

    async def client(self):
        (name,) = self.users("alice")
        return await Client(self.daemon, name).online()

    async def test_messages_are_answered(self):
        gateway = await Gateway(self.daemon).served()
        alice = await self.client()
        for to in (GATEWAY, f"mum@{GATEWAY}", f"dad@{GATEWAY}/phone"):
            alice.send_message(mto=to, mbody="hello", mtype="chat")
            answer = await alice.message()
            self.assertEqual(answer["from"], slixmpp.JID(to))
            self.assertEqual(answer["body"], f"{slixmpp.JID(to).bare} heard: hello")
        said = [f"number {number}" for number in range(100)]
        for body in said:
            alice.send_message(mto=f"mum@{GATEWAY}", mbody=body, mtype="chat")
        heard = [(await alice.message())["body"] for _ in said]
        self.assertEqual(heard, [f"mum@{GATEWAY} heard: {body}" for body in said])
        await alice.leave()
        await gateway.leave()

    async def test_requests_are_answered(self):
        gateway = await Gateway(self.daemon).served()
        alice = await self.client()
        disco = alice.plugin["xep_0030"]
        items = await disco.get_items(jid="localhost", timeout=PATIENCE)
        self.assertIn(GATEWAY, [item[0] for item in items["disco_items"]["items"]])
        info = await disco.get_info(jid=GATEWAY, timeout=PATIENCE)
        self.assertIn(("gateway", "sms", None, "Echo"), info["disco_info"]["identities"])
        version = await alice.plugin["xep_0092"].get_version(GATEWAY, timeout=PATIENCE)
        self.assertEqual(version["software_version"]["name"], "echo gateway")
        await alice.plugin["xep_0199"].ping(GATEWAY, timeout=PATIENCE)
        with self.assertRaises(slixmpp.exceptions.IqError) as refused:
            unknown = alice.make_iq_get(queryxmlns="urn:example:unknown", ito=GATEWAY)
            await unknown.send(timeout=PATIENCE)
        self.assertEqual(refused.exception.condition, "feature-not-implemented")
        # The other way: the component asks the server.
        back = await gateway.plugin["xep_0030"].get_info(jid="localhost", ifrom=GATEWAY, timeout=PATIENCE)
        self.assertIn("urn:xmpp:ping", back["disco_info"]["features"])
        await alice.leave()
        await gateway.leave()

    async def test_its_addresses_are_contacts(self):
        gateway = await Gateway(self.daemon).served()
        alice = await self.client()
        alice.keep("presence_subscribed", "presence_available")
        # Only who has asked for its roster hears of subscriptions (RFC 6121 §3.1.6).
        await alice.get_roster(timeout=PATIENCE)
        mum = f"mum@{GATEWAY}"
        alice.send_presence_subscription(pto=mum)
        await alice.until("presence_subscribed", lambda presence: presence["from"] == mum)
        shown = await alice.until("presence_available", lambda presence: presence["from"].bare == mum)
        self.assertEqual(shown["status"], "always here")
        self.assertEqual(alice.client_roster[mum]["subscription"], "to")
        await alice.leave()
        await gateway.leave()

    async def test_who_is_away_or_has_the_wrong_secret_serves_nobody(self):
        alice = await self.client()
        stranger = Gateway(self.daemon, "a guess")
        stranger.connect()
        await asyncio.wait_for(stranger.ended, PATIENCE)
        self.assertFalse(stranger.began.done())
        stranger.abort()
        alice.keep("message_error")
        alice.send_message(mto=f"mum@{GATEWAY}", mbody="anybody?", mtype="chat")
        error = await alice.until("message_error")
        self.assertEqual(error["error"]["condition"], "remote-server-timeout")
        gateway = await Gateway(self.daemon).served()
        alice.send_message(mto=f"mum@{GATEWAY}", mbody="anybody?", mtype="chat")
        answer = await alice.until("message", lambda message: message["type"] == "chat")
        self.assertEqual(answer["body"], f"mum@{GATEWAY} heard: anybody?")
        await alice.leave()
        await gateway.leave()


if __name__ == "__main__":
    unittest.main()
