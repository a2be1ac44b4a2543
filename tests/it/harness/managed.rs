//! A client that speaks XEP-0198 as a peer should: it counts, keeps what is not acknowledged, resumes, and sends that again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use stanzad::xml::Element;

use super::peer::{Login, Loss, Peer, Remains};

const SM: &str = "urn:xmpp:sm:3";

/// What the client counts, mod 2^32 (XEP-0198 §4), and keeps until the server has acknowledged it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Stanzas taken from the server.
    handled: u32,
    /// Stanzas that the server has acknowledged.
    acknowledged: u32,
    /// Stanzas sent and not acknowledged, the oldest first.
    unacknowledged: VecDeque<String>,
}

impl Counters {
    /// A stanza is about to be sent.
    pub fn sends(&mut self, xml: &str) {
        self.unacknowledged.push_back(xml.to_owned());
    }

    /// A stanza has come.
    pub fn takes(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// The server has handled `h` stanzas. Gives those that it had not acknowledged before.
    pub fn acknowledge(&mut self, h: u32) -> io::Result<Vec<String>> {
        let count = h.wrapping_sub(self.acknowledged) as usize;
        if count > self.unacknowledged.len() {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!(
                    "the server acknowledges {h}: {} had been, {} wait",
                    self.acknowledged,
                    self.unacknowledged.len()
                ),
            ));
        }
        self.acknowledged = h;
        Ok(self.unacknowledged.drain(..count).collect())
    }
}

/// What outlives a connection.
#[derive(Debug)]
pub struct Management {
    /// What the server calls the session, if it may be resumed.
    pub previd: Option<String>,
    counters: Counters,
    jid: String,
    /// What the server has acknowledged and nobody has asked for yet.
    acknowledged: Vec<String>,
}

impl Management {
    /// The stanzas that the server has acknowledged since the last call.
    pub fn take_acknowledged(&mut self) -> Vec<String> {
        std::mem::take(&mut self.acknowledged)
    }

    fn acknowledge(&mut self, h: u32) -> io::Result<()> {
        let more = self.counters.acknowledge(h)?;
        self.acknowledged.extend(more);
        Ok(())
    }

    /// What the server has not acknowledged, the oldest first: for another session.
    pub fn unacknowledged(self) -> impl Iterator<Item = String> {
        self.counters.unacknowledged.into_iter()
    }
}

/// A bound stream with stream management.
pub struct Managed {
    peer: Peer,
    management: Management,
    /// Whether `<r/>` is answered at once; else [`Managed::acknowledge`] tells.
    pub prompt: bool,
}

/// What became of a try to resume.
pub enum Resumption {
    /// The session goes on.
    Resumed(Managed),
    /// The server knows it no longer: an authenticated stream, and what has become of the old session's stanzas if it knows.
    Refused(Peer, Management),
}

/// The `h` of an element of stream management.
fn h(element: &Element) -> io::Result<u32> {
    let h = element.attr("h").and_then(|h| h.parse().ok());
    h.ok_or_else(|| io::Error::other(format!("no h: {element}")))
}

impl Managed {
    /// Logs in, binds and enables stream management; no presence is sent. `resume`: so that it may be resumed.
    pub async fn login(login: &Login, resume: bool) -> io::Result<Self> {
        let (peer, _) = Peer::authenticated(login).await?;
        Self::begin(peer, login.resource.as_deref(), resume).await
    }

    /// Binds and enables stream management on an authenticated stream.
    pub async fn begin(mut peer: Peer, resource: Option<&str>, resume: bool) -> io::Result<Self> {
        peer.bind(resource).await?;
        let wish = if resume { " resume='true'" } else { "" };
        peer.send(&format!("<enable xmlns='{SM}'{wish}/>")).await?;
        // What comes before is not counted, and cannot come again: nothing does unless it is sent to the full address.
        let enabled = peer
            .expect("answer to enable", |element| element.ns() == SM)
            .await?;
        if enabled.name() != "enabled" {
            return Err(io::Error::other(enabled.to_string()));
        }
        let may = enabled.attr("resume").is_some_and(|may| may != "false");
        Ok(Self {
            management: Management {
                previd: enabled.attr("id").filter(|_| may).map(str::to_owned),
                counters: Counters::default(),
                jid: peer.jid.clone(),
                acknowledged: Vec::new(),
            },
            peer,
            prompt: true,
        })
    }

    /// Logs in and resumes. What the server has not handled is sent again, as it was. An error gives back what is needed to
    /// try once more.
    pub async fn resume(
        login: &Login,
        mut management: Management,
    ) -> Result<Resumption, (Management, io::Error)> {
        let asked = async {
            let mut peer = Self::ask_to_resume(login, &management).await?;
            let answer = peer.expect("answer to resume", |_| true).await?;
            Ok((peer, answer))
        };
        let (mut peer, answer) = match asked.await {
            Ok(asked) => asked,
            Err(error) => return Err((management, error)),
        };
        if answer.attr("h").is_some()
            && let Err(error) = h(&answer).and_then(|h| management.acknowledge(h))
        {
            return Err((management, error));
        }
        match answer.name() {
            "resumed" => {}
            "failed" => return Ok(Resumption::Refused(peer, management)),
            _ => return Err((management, io::Error::other(answer.to_string()))),
        }
        for xml in &management.counters.unacknowledged {
            if let Err(error) = peer.send(xml).await {
                return Err((management, error));
            }
        }
        peer.jid.clone_from(&management.jid);
        Ok(Resumption::Resumed(Self {
            peer,
            management,
            prompt: true,
        }))
    }

    /// Asks to resume and does not wait for the answer: dropped then, the server has resumed on a dead connection.
    pub async fn ask_to_resume(login: &Login, management: &Management) -> io::Result<Peer> {
        let (mut peer, features) = Peer::authenticated(login).await?;
        if features.child("sm", SM).is_none() {
            return Err(io::Error::other(format!("no sm among {features}")));
        }
        let previd = management.previd.as_deref().unwrap_or_default();
        let handled = management.counters.handled;
        peer.send(&format!(
            "<resume xmlns='{SM}' previd='{previd}' h='{handled}'/>"
        ))
        .await?;
        Ok(peer)
    }

    /// Sends one stanza, and keeps it until it is acknowledged.
    pub async fn send(&mut self, stanza: &str) -> io::Result<()> {
        self.management.counters.sends(stanza);
        self.peer.send(stanza).await
    }

    /// Asks for an acknowledgement; it comes while elements are read.
    pub async fn request(&mut self) -> io::Result<()> {
        self.peer.send(&format!("<r xmlns='{SM}'/>")).await
    }

    /// Acknowledges everything that has been read.
    pub async fn acknowledge(&mut self) -> io::Result<()> {
        let h = self.management.counters.handled;
        self.peer.send(&format!("<a xmlns='{SM}' h='{h}'/>")).await
    }

    /// Whether the server has acknowledged everything.
    pub fn is_acknowledged(&self) -> bool {
        self.management.counters.unacknowledged.is_empty()
    }

    /// See [`Management::take_acknowledged`].
    pub fn take_acknowledged(&mut self) -> Vec<String> {
        self.management.take_acknowledged()
    }

    /// The next element, which [`Managed::take`] has to take. Cancelling loses nothing.
    pub async fn next(&mut self) -> io::Result<Element> {
        self.peer.next().await
    }

    /// Counts a stanza and gives it back, as it does a stream error; deals with what belongs to stream management.
    pub async fn take(&mut self, element: Element) -> io::Result<Option<Element>> {
        match (element.ns(), element.name()) {
            (SM, "a") => self.management.acknowledge(h(&element)?)?,
            (SM, "r") if self.prompt => self.acknowledge().await?,
            (SM, "r") => {}
            _ => {
                if matches!(element.name(), "message" | "presence" | "iq") {
                    self.management.counters.takes();
                }
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// Loses the connection in the middle of a stanza (see [`Peer::lose`]), which counts as sent.
    pub async fn lose(
        mut self,
        how: Loss,
        stanza: &str,
        part: u8,
    ) -> (Management, io::Result<Remains>) {
        self.management.counters.sends(stanza);
        let remains = self.peer.lose(how, stanza, part).await;
        (self.management, remains)
    }

    /// Drops the connection.
    pub fn into_management(self) -> Management {
        self.management
    }

    /// Closes the stream for good: it cannot be resumed.
    pub async fn close(self) -> io::Result<()> {
        self.peer.close().await
    }
}

#[test]
fn a_client_counts_modulo_and_believes_no_acknowledgement_of_what_it_has_not_sent() {
    let mut counters = Counters {
        handled: u32::MAX,
        acknowledged: u32::MAX - 1,
        unacknowledged: VecDeque::new(),
    };
    counters.takes();
    assert_eq!(counters.handled, 0);
    for id in ["a", "b", "c"] {
        counters.sends(id);
    }
    assert_eq!(counters.acknowledge(u32::MAX).unwrap(), ["a"]);
    assert!(counters.acknowledge(u32::MAX).unwrap().is_empty());
    assert!(counters.acknowledge(2).is_err(), "that would be three more");
    assert!(counters.acknowledge(u32::MAX - 1).is_err(), "backwards");
    assert_eq!(counters.acknowledge(1).unwrap(), ["b", "c"]);
}
