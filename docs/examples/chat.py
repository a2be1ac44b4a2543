#!/usr/bin/env python3
"""A chat client in a page, to try stanzad with: what you type goes to one address, what arrives is printed.

    docs/examples/chat.py alice@localhost echo@localhost

It needs nothing but Python. It trusts the certificate that stanzad made in its data directory (--trust FILE).
"""

import argparse
import base64
import getpass
import socket
import ssl
import sys
import threading
from xml.etree.ElementTree import XMLPullParser
from xml.sax.saxutils import escape, quoteattr

CLIENT = "{jabber:client}"
SASL = "{urn:ietf:params:xml:ns:xmpp-sasl}"


class Stream:
    """XML both ways inside TLS."""

    def __init__(self, host, port, domain, trust):
        context = ssl.create_default_context(cafile=trust)
        self.tls = context.wrap_socket(socket.create_connection((host, port)), server_hostname=domain)
        self.domain = domain

    def open(self):
        """Sends a stream header and reads until the features have come."""
        self.parser, self.depth = XMLPullParser(["start", "end"]), 0
        self.send(
            f"<?xml version='1.0'?><stream:stream to={quoteattr(self.domain)} version='1.0' "
            "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        return next(self.elements())

    def send(self, text):
        self.tls.sendall(text.encode())

    def elements(self):
        """The complete elements at the top of the stream, as they come."""
        while True:
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "end" and self.depth == 1:
                    yield element
            data = self.tls.recv(4096)
            if not data:
                return
            self.parser.feed(data)


def log_in(stream, user, password):
    stream.open()
    token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    stream.send(f"<auth xmlns='{SASL[1:-1]}' mechanism='PLAIN'>{token}</auth>")
    answer = next(stream.elements())
    if answer.tag != f"{SASL}success":
        sys.exit(f"refused: {answer[0].tag.removeprefix(SASL)}")
    stream.open()
    stream.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq><presence/>")


def print_messages(stream):
    for element in stream.elements():
        body = element.findtext(f"{CLIENT}body")
        if element.tag == f"{CLIENT}message" and body is not None:
            refused = " (refused)" if element.get("type") == "error" else ""
            print(f"{element.get('from')}{refused}: {body}", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("jid", help="who you are: alice@localhost")
    options.add_argument("to", help="whom you write to: echo@localhost")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=5223, help="with TLS from the first byte")
    options.add_argument("--trust", default="var/tls/localhost.pem", help="certificate to trust (default: var/tls/localhost.pem)")
    options.add_argument("--password-stdin", action="store_true", help="the first line of standard input is the password")
    given = options.parse_args()

    user, domain = given.jid.split("@")
    password = sys.stdin.readline().rstrip("\n") if given.password_stdin else getpass.getpass()
    stream = Stream(given.host, given.port, domain, given.trust)
    log_in(stream, user, password)
    threading.Thread(target=print_messages, args=[stream], daemon=True).start()
    print(f"{given.jid} to {given.to}; end with ^D", flush=True)
    for number, line in enumerate(sys.stdin):
        body = escape(line.rstrip("\n"))
        stream.send(f"<message type='chat' id='m{number}' to={quoteattr(given.to)}><body>{body}</body></message>")
    stream.send("</stream:stream>")


main()
