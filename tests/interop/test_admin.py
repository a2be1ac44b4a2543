"""slixmpp against a real stanzad: an administrator's commands, and whom to write to."""

import asyncio
import unittest

from client import Client, WithDaemon
from daemon import PASSWORD, PATIENCE


class Admin(WithDaemon):
    """Users that an administrator makes from its client."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon.add_user("admin")

    async def client(self, user, password=PASSWORD):
        client = Client(self.daemon, user, password=password)
        for plugin in ("xep_0004", "xep_0050", "xep_0128", "xep_0133"):
            client.register_plugin(plugin)
        return await client.online()

    async def command(self, client, name, **answers):
        """Runs a command as slixmpp's plugin does: what came in the end, a result's form or an error's condition."""
        ended = asyncio.get_running_loop().create_future()

        def told(iq, _):
            ended.set_result(iq["command"]["form"])

        def filled(iq, session):
            form = iq["command"]["form"]
            form.set_values({field.replace("_verify", "-verify"): answer for field, answer in answers.items()})
            form["type"] = "submit"
            session["payload"], session["next"] = form, told
            client.plugin["xep_0050"].complete_command(session)

        def refused(iq, session):
            client.plugin["xep_0050"].terminate_command(session)
            ended.set_result(iq["error"]["condition"])

        step = filled if answers else told
        getattr(client.plugin["xep_0133"], name)(session={"next": step, "error": refused})
        return await asyncio.wait_for(ended, PATIENCE)

    async def test_users_come_and_go(self):
        admin = await self.client("admin")
        name, jid = self.name("new"), f"{self.name('new')}@localhost"
        fields = {"accountjid": jid, "password": "made here", "password_verify": "made here"}
        await self.command(admin, "add_user", **fields)
        new = await self.client(name, "made here")
        self.assertEqual(await self.command(admin, "add_user", **fields), "conflict")

        online = await self.command(admin, "get_online_users_list", max_items="none")
        self.assertIn(jid, online.get_values()["onlineuserjids"])
        self.assertEqual(await self.command(new, "add_user", **fields), "forbidden")

        await self.command(admin, "delete_user", accountjids=[jid])
        await asyncio.wait_for(new.ended, PATIENCE)
        with self.assertRaises(PermissionError):
            await self.client(name, "made here")
        await admin.leave()

    async def test_commands_are_listed(self):
        admin = await self.client("admin")
        (user,) = self.users("user")
        user = await self.client(user)
        for client, names in ((admin, {"add-user", "delete-user", "end-user-session"}), (user, set())):
            items = await client.plugin["xep_0133"].get_commands(timeout=PATIENCE)
            nodes = {node.rpartition("#")[2] for _, node, _ in items["disco_items"]["items"]}
            self.assertLessEqual(names, nodes)
            self.assertEqual(bool(names), bool(nodes))
        await admin.leave()
        await user.leave()

    async def test_contact_addresses(self):
        (user,) = self.users("user")
        user = await self.client(user)
        info = await user.plugin["xep_0030"].get_info("localhost", timeout=PATIENCE)
        values = info["disco_info"]["form"].get_values()
        self.assertEqual(values["FORM_TYPE"], ["http://jabber.org/network/serverinfo"])
        self.assertEqual(values["abuse-addresses"], ["mailto:abuse@localhost", "xmpp:abuse@localhost"])
        await user.leave()


if __name__ == "__main__":
    unittest.main()
