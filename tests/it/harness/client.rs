//! A client for tests that do one thing after the other: a [`Peer`] on a runtime of its own, waited for at every step.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use stanzad::xml::{Element, Header};
use tokio::runtime::{Builder, Runtime};

use super::peer::{Login, Peer, Via};

/// A stream to the daemon. Dropped, it vanishes without a word.
pub struct Client {
    // Before the runtime, so that it goes first.
    peer: Peer,
    runtime: Runtime,
    /// The full address, once bound.
    pub jid: String,
    /// Messages that had been kept, of [`Client::online`].
    pub kept: Vec<Element>,
}

impl Client {
    fn start<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<(Runtime, T)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let given = runtime.block_on(future)?;
        Ok((runtime, given))
    }

    fn new(runtime: Runtime, peer: Peer, kept: Vec<Element>) -> Self {
        let jid = peer.jid.clone();
        Self {
            peer,
            runtime,
            jid,
            kept,
        }
    }

    /// See [`Peer::connect`].
    pub fn connect(addr: SocketAddr, via: Via) -> io::Result<Self> {
        let (runtime, peer) = Self::start(Peer::connect(addr, via))?;
        Ok(Self::new(runtime, peer, Vec::new()))
    }

    /// See [`Peer::connect_to`].
    pub fn connect_to(addr: SocketAddr, domain: &str) -> io::Result<Self> {
        let (runtime, peer) = Self::start(Peer::connect_to(addr, domain))?;
        Ok(Self::new(runtime, peer, Vec::new()))
    }

    /// See [`Peer::component`].
    pub fn component(addr: SocketAddr, via: Via, domain: &str, secret: &str) -> io::Result<Self> {
        let (runtime, peer) = Self::start(Peer::component(addr, via, domain, secret))?;
        Ok(Self::new(runtime, peer, Vec::new()))
    }

    /// See [`Peer::login`].
    pub fn login(login: &Login) -> io::Result<Self> {
        let (runtime, peer) = Self::start(Peer::login(login))?;
        Ok(Self::new(runtime, peer, Vec::new()))
    }

    /// See [`Peer::online`].
    pub fn online(login: &Login) -> io::Result<Self> {
        let (runtime, (peer, kept)) = Self::start(Peer::online(login))?;
        Ok(Self::new(runtime, peer, kept))
    }

    /// See [`Peer::authenticate`].
    pub fn authenticate(&mut self, login: &Login) -> io::Result<()> {
        self.runtime.block_on(self.peer.authenticate(login))
    }

    /// See [`Peer::open`].
    pub fn open(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.peer.open())
    }

    /// See [`Peer::features`].
    pub fn features(&mut self) -> io::Result<Element> {
        self.runtime.block_on(self.peer.features())
    }

    /// See [`Peer::header`].
    pub fn header(&self) -> Option<&Header> {
        self.peer.header()
    }

    /// See [`Peer::send`].
    pub fn send(&mut self, xml: &str) -> io::Result<()> {
        self.runtime.block_on(self.peer.send(xml))
    }

    /// See [`Peer::say`].
    pub fn say(&mut self, to: &str, id: &str, body: &str) -> io::Result<()> {
        self.runtime.block_on(self.peer.say(to, id, body))
    }

    /// See [`Peer::drain`].
    pub fn drain(&mut self) -> io::Result<Vec<Element>> {
        self.runtime.block_on(self.peer.drain())
    }

    /// See [`Peer::expect`].
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Element) -> bool) -> io::Result<Element> {
        self.runtime.block_on(self.peer.expect(what, wanted))
    }

    /// The next message.
    pub fn message(&mut self) -> io::Result<Element> {
        self.expect("message", |element| element.name() == "message")
    }

    /// Sends an iq and gives its answer.
    pub fn ask(&mut self, id: &str, xml: &str) -> io::Result<Element> {
        self.send(xml)?;
        self.expect("answer to an iq", |element| {
            element.name() == "iq" && element.attr("id") == Some(id)
        })
    }

    /// The next element, or `None` when there is none within `time`: for showing that nothing comes.
    pub fn next_within(&mut self, time: Duration) -> io::Result<Option<Element>> {
        let next = async { tokio::time::timeout(time, self.peer.next()).await };
        match self.runtime.block_on(next) {
            Ok(element) => element.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// See [`Peer::close`].
    pub fn close(self) -> io::Result<()> {
        self.runtime.block_on(self.peer.close())
    }
}
