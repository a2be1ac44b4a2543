//! Who sent what to whom, what came, and what follows from that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Habit;

/// One message of one user to another, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub from: usize,
    pub to: usize,
    pub number: usize,
}

#[derive(Default)]
struct Sent {
    /// By which session of its sender first.
    session: usize,
    acknowledged: bool,
    /// In how many sessions its sender has sent it: so often the server may have taken it.
    times: usize,
}

struct Got {
    message: Message,
    /// Of the recipient.
    session: usize,
    connection: usize,
    /// The server has forgotten it: it knew that it had arrived, and answered what was written behind that.
    settled: bool,
}

/// Everything that was sent and came.
#[derive(Default)]
pub struct Ledger {
    sent: BTreeMap<(usize, usize), Vec<Sent>>,
    got: Vec<Vec<Got>>,
}

/// What came of it all.
#[derive(Debug, Default)]
pub struct Verdict {
    pub sent: usize,
    pub acknowledged: usize,
    pub delivered: usize,
    /// Acknowledged and never delivered.
    pub lost: usize,
    /// Acknowledged and never read by one without stream management whose socket died: it was on the wire.
    pub on_the_wire: usize,
    /// More copies than the losses of sessions explain.
    pub doubled: usize,
    /// More than one, and explained.
    pub repeated: usize,
    /// Behind one that its sender had sent later.
    pub disordered: usize,
    /// The first faults, in words.
    pub faults: Vec<String>,
}

impl Message {
    /// The id that it carries.
    pub fn id(self) -> String {
        format!("m.{}.{}.{}", self.from, self.to, self.number)
    }

    /// The message with that id.
    pub fn of_id(id: &str) -> Option<Self> {
        let mut parts = id.strip_prefix("m.")?.split('.').map(str::parse);
        let mut part = || parts.next()?.ok();
        let (from, to, number) = (part()?, part()?, part()?);
        Some(Self { from, to, number })
    }

    /// The message that this stanza of ours is.
    pub fn of_stanza(xml: &str) -> Option<Self> {
        let (_, rest) = xml.split_once(" id='")?;
        Self::of_id(rest.split_once('\'')?.0)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

impl Ledger {
    /// For so many users.
    pub fn new(users: usize) -> Self {
        Self {
            sent: BTreeMap::new(),
            got: (0..users).map(|_| Vec::new()).collect(),
        }
    }

    /// The next message of `from` to `to`, about to be sent in that session of `from`.
    pub fn send(&mut self, from: usize, to: usize, session: usize) -> Message {
        let list = self.sent.entry((from, to)).or_default();
        let number = list.len();
        list.push(Sent {
            session,
            acknowledged: false,
            times: 1,
        });
        Message { from, to, number }
    }

    fn sent(&mut self, message: Message) -> Option<&mut Sent> {
        let list = self.sent.get_mut(&(message.from, message.to))?;
        list.get_mut(message.number)
    }

    /// Its sender is about to send it in another session: whether the server had it is not known.
    pub fn send_again(&mut self, message: Message) {
        self.sent(message).unwrap().times += 1;
    }

    /// Its sender has been told that it is safe.
    pub fn acknowledge(&mut self, message: Message) {
        self.sent(message).unwrap().acknowledged = true;
    }

    /// It came, in that session and connection of its recipient. An error when nobody has sent such a message.
    pub fn got(
        &mut self,
        message: Message,
        (session, connection): (usize, usize),
    ) -> Result<(), String> {
        if self.sent(message).is_none() {
            return Err(format!("{message} came and was never sent"));
        }
        self.got[message.to].push(Got {
            message,
            session,
            connection,
            settled: false,
        });
        Ok(())
    }

    /// How many have come for that user.
    pub fn come(&self, user: usize) -> usize {
        self.got[user].len()
    }

    /// Of the first `count` that came for that user, the server has forgotten those of this session.
    pub fn settle(&mut self, user: usize, session: usize, count: usize) {
        let got = self.got[user][..count].iter_mut().rev();
        got.take_while(|got| got.session == session)
            .for_each(|got| got.settled = true);
    }

    /// Looks at everything. `last` are the connections that were never lost, a user each.
    pub fn judge(&self, habits: &[Habit], last: &[usize]) -> Verdict {
        let mut verdict = Verdict::default();
        for (&(from, to), sent) in &self.sent {
            let got: Vec<&Got> = self.got[to]
                .iter()
                .filter(|got| got.message.from == from)
                .collect();
            verdict.sent += sent.len();
            verdict.acknowledged += sent.iter().filter(|sent| sent.acknowledged).count();
            verdict.order(sent, &got, habits[to]);
            let mut copies: BTreeMap<usize, Vec<&Got>> = BTreeMap::new();
            for got in &got {
                copies.entry(got.message.number).or_default().push(got);
            }
            for (number, copies) in &copies {
                verdict.copies(sent[*number].times, copies);
            }
            for (number, sent) in sent.iter().enumerate() {
                if sent.acknowledged && !copies.contains_key(&number) {
                    let message = Message { from, to, number };
                    verdict.missing(message, &got, (habits[to], last[to]));
                }
            }
        }
        verdict
    }
}

impl Verdict {
    fn fault(&mut self, text: String) {
        if self.faults.len() < 40 {
            self.faults.push(text);
        }
    }

    /// Whatever came again: the first of each come in the order in which they were sent. To a plain recipient the first copy
    /// may have been on the wire when its socket died, and the one that its sender sends again counts for nothing.
    fn order(&mut self, sent: &[Sent], got: &[&Got], habit: Habit) {
        let mut come = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for got in got {
            let message = got.message;
            if !come.insert(message.number) {
                continue;
            }
            self.delivered += 1;
            if habit == Habit::Plain && sent[message.number].times > 1 {
                continue;
            }
            seen.insert(message.number);
            if let Some(&later) = seen.last()
                && later > message.number
            {
                self.disordered += 1;
                self.fault(format!(
                    "{message} of session {} came for the first time behind number {later} of session {}, in {}",
                    sent[message.number].session,
                    sent[later].session,
                    got.place()
                ));
            }
        }
    }

    /// A message that its sender knows to be safe has not come. It may have been on its way when the socket died of one
    /// without stream management: then the next one came by another connection than the one before.
    fn missing(&mut self, message: Message, got: &[&Got], (habit, last): (Habit, usize)) {
        let before = got
            .iter()
            .find(|got| got.message.number + 1 == message.number)
            .or_else(|| {
                let mut back = got.iter().rev();
                back.find(|got| got.message.number < message.number)
            });
        let behind = got.iter().find(|got| got.message.number > message.number);
        let before = before.map_or(0, |got| got.connection);
        let behind = behind.map_or(last, |got| got.connection);
        if habit == Habit::Plain && before != behind {
            self.on_the_wire += 1;
            return;
        }
        self.lost += 1;
        self.fault(format!(
            "{message} is acknowledged and has not come to one who {habit:?}, between connections {before} and {behind} of {last}"
        ));
    }

    /// In one session a message comes once for each time that the server may have taken it; in a later session again, unless
    /// the server had forgotten it.
    fn copies(&mut self, times: usize, copies: &[&Got]) {
        for (place, got) in copies.iter().enumerate().skip(1) {
            let before = &copies[..place];
            let here = before.iter().filter(|other| other.session == got.session);
            let settled = before
                .iter()
                .filter(|other| other.session < got.session && other.settled);
            if here.count() + settled.count() < times {
                self.repeated += 1;
                continue;
            }
            self.doubled += 1;
            let places: Vec<String> = copies.iter().map(|got| got.place()).collect();
            self.fault(format!(
                "{} came too often, its sender having sent it in {times} sessions: {}",
                got.message,
                places.join("; ")
            ));
        }
    }
}

impl Got {
    fn place(&self) -> String {
        let settled = if self.settled { ", settled" } else { "" };
        format!(
            "session {} connection {}{settled}",
            self.session, self.connection
        )
    }
}
