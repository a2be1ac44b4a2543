"""slixmpp as the tests of this directory use it, and a daemon per class."""

import asyncio
import logging
import ssl
import unittest

import slixmpp

from daemon import PASSWORD, PATIENCE, Daemon


class Client(slixmpp.ClientXMPP):
    """A client that keeps what it gets in queues: messages, and by `keep` what else is wanted."""

    def __init__(self, daemon, user, tls="required", mechanism="SCRAM-SHA-256", password=PASSWORD):
        super().__init__(f"{user}@localhost", password, sasl_mech=mechanism)
        self.mechanism = mechanism
        self.address = daemon.ports[tls]
        self.enable_direct_tls = tls == "direct"
        self.enable_starttls = tls != "direct"
        self.enable_plaintext = False
        # The certificate is the daemon's own, self-signed one.
        self.ssl_context = ssl.create_default_context()
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        # Who may see whom is what tests decide.
        self.auto_authorize = None
        self.auto_subscribe = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0092")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0203")
        self.queues = {}
        self.keep("message")
        self.started = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: self._settle(self.started, None))
        self.add_event_handler("failed_all_auth", lambda _: self._settle(self.started, "refused"))
        self.add_event_handler("disconnected", lambda _: self._settle(self.ended, None))

    @staticmethod
    def _settle(future, value):
        if not future.done():
            future.set_result(value)

    def keep(self, *events):
        """Keeps these events from now on, for `until`."""
        for event in events:
            self.queues[event] = asyncio.Queue()
            self.add_event_handler(event, self.queues[event].put_nowait)
        return self

    async def logged_in(self):
        """Logs in; not available yet."""
        self.connect(*self.address)
        outcome = await asyncio.wait_for(self.started, PATIENCE)
        if outcome is not None:
            raise PermissionError(outcome)
        return self

    async def online(self):
        """Logs in and becomes available."""
        await self.logged_in()
        self.send_presence()
        await self.settled()
        return self

    async def settled(self):
        """The answer to a ping means that what was sent before has been handled, and what came of it for us has come."""
        await self.plugin["xep_0199"].ping("localhost", timeout=PATIENCE)

    async def until(self, event, wanted=lambda _: True):
        """The next of these events that is wanted; those before it are forgotten."""
        while True:
            got = await asyncio.wait_for(self.queues[event].get(), PATIENCE)
            if wanted(got):
                return got

    def kept(self, event):
        """What of these events is there now."""
        queue = self.queues[event]
        return [queue.get_nowait() for _ in range(queue.qsize())]

    async def message(self):
        return await self.until("message")

    async def leave(self):
        self.disconnect()
        await asyncio.wait_for(self.ended, PATIENCE)


class WithDaemon(unittest.IsolatedAsyncioTestCase):
    """One daemon for the whole class; each test has users of its own."""

    CONFIG = ""

    @classmethod
    def setUpClass(cls):
        # Refused logins are what some of the tests want.
        logging.basicConfig(level=logging.CRITICAL)
        cls.daemon = Daemon(cls.CONFIG)

    @classmethod
    def tearDownClass(cls):
        code = cls.daemon.stop()
        if code != 0:
            raise AssertionError(f"stanzad ended with {code} after SIGTERM")

    def name(self, user):
        """The name of this test's user."""
        test = self.id().rsplit(".", 1)[1].removeprefix("test_").replace("_", "-")
        return f"{user}-{test}"

    def users(self, *names):
        """Makes users, named after this test."""
        full = [self.name(name) for name in names]
        for name in full:
            self.daemon.add_user(name)
        return full
