"""slixmpp against a real stanzad: contacts and their presence, rosters on two devices, blocking, what is kept for a user."""

import asyncio
import unittest

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0048.stanza import Bookmarks

from client import Client, WithDaemon
from daemon import PASSWORD, PATIENCE


def item(iq, jid):
    """What a roster says of a contact: subscription, and whether a request is under way; None without such a contact."""
    found = iq["roster"]["items"].get(jid)
    return found and (found["subscription"], found["ask"] or None)


def presence(kind, jid):
    """Such a presence from that address, or one of its resources."""
    return lambda got: got["type"] == kind and jid in (str(got["from"]), got["from"].bare)


class Contacts(WithDaemon):
    async def contact(self, user):
        """Logs in, asks for the roster, becomes available."""
        client = Client(self.daemon, user)
        for plugin in ("xep_0048", "xep_0049", "xep_0054", "xep_0191"):
            client.register_plugin(plugin)
        client.keep("presence", "roster_update")
        await client.logged_in()
        await client.get_roster(timeout=PATIENCE)
        client.kept("roster_update")
        client.send_presence()
        await client.settled()
        return client

    async def pair(self):
        alice, bob = [await self.contact(name) for name in self.users("alice", "bob")]
        return alice, bob, alice.boundjid.bare, bob.boundjid.bare

    async def grant(self, asks, answers):
        """One asks to see the other, who agrees."""
        asks_jid, answers_jid = asks.boundjid.bare, answers.boundjid.bare
        asks.send_presence_subscription(pto=answers_jid, ptype="subscribe")
        await asks.until("roster_update", lambda iq: item(iq, answers_jid)[1] == "subscribe")
        await answers.until("presence", presence("subscribe", asks_jid))
        answers.send_presence_subscription(pto=asks_jid, ptype="subscribed")
        await asks.until("presence", presence("subscribed", answers_jid))
        await asks.until("roster_update", lambda iq: item(iq, answers_jid)[0] in ("to", "both"))
        await asks.until("presence", presence("available", str(answers.boundjid)))
        await answers.until("roster_update", lambda iq: item(iq, asks_jid)[0] in ("from", "both"))

    async def friends(self):
        """Two who see each other."""
        alice, bob, *jids = await self.pair()
        await self.grant(alice, bob)
        await self.grant(bob, alice)
        return alice, bob, *jids

    async def test_two_become_contacts_and_see_each_other(self):
        alice, bob, alice_jid, bob_jid = await self.friends()
        for client, other in ((alice, bob_jid), (bob, alice_jid)):
            roster = await client.get_roster(timeout=PATIENCE)
            self.assertEqual(len(roster["roster"]["items"]), 0, "this version is known already")
            self.assertEqual(client.client_roster[other]["subscription"], "both")

        bob.send_presence(pshow="away", pstatus="gone for tea")
        seen = await alice.until("presence", presence("away", bob_jid))
        self.assertEqual(seen["status"], "gone for tea")
        await bob.leave()
        await alice.until("presence", presence("unavailable", bob_jid))

        alice.send_presence_subscription(pto=bob_jid, ptype="unsubscribed")
        push = await alice.until("roster_update", lambda iq: iq["type"] == "set")
        self.assertEqual(item(push, bob_jid), ("to", None))
        bob = await self.contact(bob_jid.partition("@")[0])
        self.assertEqual(bob.client_roster[alice_jid]["subscription"], "from")
        self.assertFalse([got for got in bob.kept("presence") if got["from"].bare == alice_jid], "bob sees alice no more")
        await bob.leave()
        await alice.leave()

    async def test_request_waits_for_who_is_away(self):
        alice_name, bob_name = self.users("alice", "bob")
        alice = await self.contact(alice_name)
        alice.send_presence_subscription(pto=f"{bob_name}@localhost", ptype="subscribe")
        await alice.settled()
        for login in range(2):
            bob = await self.contact(bob_name)
            await bob.until("presence", presence("subscribe", alice.boundjid.bare))
            if login == 0:
                await bob.leave()
        bob.send_presence_subscription(pto=alice.boundjid.bare, ptype="unsubscribed")
        await alice.until("presence", presence("unsubscribed", bob.boundjid.bare))
        await bob.leave()
        bob = await self.contact(bob_name)
        self.assertFalse([got for got in bob.kept("presence") if got["type"] == "subscribe"], "it is answered")
        await bob.leave()
        await alice.leave()

    async def test_two_devices_share_a_roster(self):
        (name,) = self.users("alice")
        desk, phone = await self.contact(name), await self.contact(name)
        other = Client(self.daemon, name).keep("roster_update")
        await other.online()

        desk.update_roster("carol@example.org", name="Carol", groups=["Friends", "Chess"])
        for device in (desk, phone):
            push = await device.until("roster_update", lambda iq: item(iq, "carol@example.org"))
            told = push["roster"]["items"]["carol@example.org"]
            self.assertEqual((told["name"], sorted(told["groups"])), ("Carol", ["Chess", "Friends"]))
        phone.update_roster("carol@example.org", name="Caroline", groups=[])
        push = await desk.until("roster_update", lambda iq: item(iq, "carol@example.org"))
        self.assertEqual(push["roster"]["items"]["carol@example.org"]["name"], "Caroline")
        await desk.del_roster_item("carol@example.org")
        push = await phone.until("roster_update", lambda iq: item(iq, "carol@example.org")[0] == "remove")
        await other.settled()
        self.assertEqual(other.kept("roster_update"), [], "who did not ask for the roster hears nothing of it")
        for device in (desk, phone, other):
            await device.leave()

    async def test_versions_save_the_roster(self):
        (name,) = self.users("alice")
        alice = await self.contact(name)
        self.assertIn("rosterver", alice.features)
        self.assertIn("preapproval", alice.features)
        for number in range(20):
            await alice.update_roster(f"friend{number}@example.org", name=f"Friend {number}")
        await alice.until("roster_update", lambda iq: item(iq, "friend19@example.org"))
        version = alice.client_roster.version
        await alice.leave()

        alice = await Client(self.daemon, name).logged_in()
        alice.client_roster.version = version
        answer = await alice.get_roster(timeout=PATIENCE)
        self.assertEqual(len(answer["roster"]["items"]), 0, "the client has it")
        # Somewhere else something changes.
        phone = await self.contact(name)
        await phone.update_roster("friend3@example.org", name="Another name")
        await phone.del_roster_item("friend4@example.org")
        await phone.leave()
        await alice.leave()

        alice = await Client(self.daemon, name).logged_in()
        alice.client_roster.version = version
        answer = await alice.get_roster(timeout=PATIENCE)
        self.assertEqual(len(answer["roster"]["items"]), 19)
        self.assertEqual(answer["roster"]["items"]["friend3@example.org"]["name"], "Another name")
        self.assertNotEqual(alice.client_roster.version, version)
        await alice.leave()

    async def test_contacts_talk_and_nothing_is_lost_while_one_is_away(self):
        alice, bob, alice_jid, bob_jid = await self.friends()
        alice.send_message(mto=bob_jid, mbody="are you there?", mtype="chat")
        heard = await bob.message()
        self.assertEqual((heard["from"], heard["body"]), (alice.boundjid, "are you there?"))
        await bob.leave()
        await alice.until("presence", presence("unavailable", bob_jid))
        alice.send_message(mto=bob_jid, mbody="call me", mtype="chat")
        await alice.settled()
        bob = await self.contact(bob_jid.partition("@")[0])
        kept = await bob.message()
        self.assertEqual((kept["from"], kept["body"]), (alice.boundjid, "call me"))
        self.assertTrue(kept["delay"]["stamp"])
        await alice.until("presence", presence("available", bob_jid))
        await bob.until("presence", presence("available", alice_jid))
        await alice.leave()
        await bob.leave()

    async def test_blocked_and_unblocked(self):
        alice, bob, alice_jid, bob_jid = await self.friends()
        bob.keep("message_error")
        await alice.plugin["xep_0191"].block(bob_jid, timeout=PATIENCE)
        self.assertEqual(await alice.plugin["xep_0191"].get_blocked_jids(timeout=PATIENCE), {bob_jid})
        await bob.until("presence", presence("unavailable", alice_jid))

        bob.send_message(mto=alice_jid, mbody="hello?", mtype="chat")
        refused = await bob.until("message_error")
        self.assertEqual(refused["error"]["condition"], "service-unavailable")
        alice.send_presence(pshow="chat")
        await alice.settled()
        await bob.settled()
        self.assertEqual(bob.kept("presence"), [], "bob hears of alice no more")
        self.assertEqual(alice.kept("message"), [], "alice hears nothing of bob")

        await alice.plugin["xep_0191"].unblock(bob_jid, timeout=PATIENCE)
        await bob.until("presence", presence("chat", alice_jid))
        bob.send_message(mto=alice_jid, mbody="hello again", mtype="chat")
        self.assertEqual((await alice.message())["body"], "hello again")
        await alice.leave()
        await bob.leave()

    async def test_bookmarks_and_a_card_are_kept(self):
        alice, bob, alice_jid, _ = await self.pair()
        bookmarks = Bookmarks()
        bookmarks.add_conference("chess@conference.example.org", "Alice", autojoin=True, name="Chess")
        await alice.plugin["xep_0048"].set_bookmarks(bookmarks, method="xep_0049", timeout=PATIENCE)
        card = alice.plugin["xep_0054"].make_vcard()
        card["FN"] = "Alice of Wonderland"
        card["NICKNAME"] = "alice"
        await alice.plugin["xep_0054"].publish_vcard(card, timeout=PATIENCE)
        await alice.leave()

        alice = await self.contact(alice_jid.partition("@")[0])
        kept = await alice.plugin["xep_0048"].get_bookmarks(method="xep_0049", timeout=PATIENCE)
        rooms = [str(room["jid"]) for room in kept["private"]["bookmarks"]["conferences"]]
        self.assertEqual(rooms, ["chess@conference.example.org"])
        seen = await bob.plugin["xep_0054"].get_vcard(alice_jid, local=False, timeout=PATIENCE)
        self.assertEqual(seen["vcard_temp"]["FN"], "Alice of Wonderland")
        await alice.leave()
        await bob.leave()


class Registration(WithDaemon):
    async def register(self, name, password=PASSWORD):
        """Makes an account from the client and logs in with it; or None, if it is refused."""
        client = Client(self.daemon, name, password=password)
        client.register_plugin("xep_0077")
        outcome = asyncio.get_running_loop().create_future()

        async def fill_in(form):
            self.assertLessEqual({"username", "password"}, set(form["register"]["fields"]))
            request = client.Iq()
            request["type"] = "set"
            request["register"]["username"] = client.boundjid.user
            request["register"]["password"] = client.password
            try:
                await request.send(timeout=PATIENCE)
                outcome.set_result(None)
            except IqError as error:
                outcome.set_result(error.condition)
                client.abort()

        client.add_event_handler("register", fill_in)
        client.connect(*client.address)
        refused = await asyncio.wait_for(outcome, PATIENCE)
        if refused is not None:
            return refused, None
        self.assertIsNone(await asyncio.wait_for(client.started, PATIENCE))
        return None, client

    async def test_account_from_birth_to_death(self):
        name = self.name("alice")
        refused, alice = await self.register(name)
        self.assertIsNone(refused)
        self.assertIn(f"{name}@localhost", self.daemon.ctl("user", "list"))
        self.assertEqual((await self.register(name, "another"))[0], "conflict")

        await alice.plugin["xep_0077"].change_password("battery staple", timeout=PATIENCE)
        await alice.leave()
        with self.assertRaises(PermissionError):
            await Client(self.daemon, name).online()
        alice = Client(self.daemon, name, password="battery staple")
        alice.register_plugin("xep_0077")
        await alice.online()
        await alice.plugin["xep_0077"].cancel_registration(timeout=PATIENCE)
        await asyncio.wait_for(alice.ended, PATIENCE)
        self.assertNotIn(f"{name}@localhost", self.daemon.ctl("user", "list"))


if __name__ == "__main__":
    unittest.main()
