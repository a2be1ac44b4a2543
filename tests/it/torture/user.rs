//! One user: talks, answers, and loses its connection when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Habit;
use super::ledger::Message;
use super::link::Link;
use super::random::Random;
use super::world::{RESOURCE, Seen, World, count, name};
use crate::harness::{Loss, Managed, Management, PATIENCE, Peer, Remains, Resumption};

/// How long between two things that a user does, at most.
const PAUSE_MS: u64 = 25;
/// Sockets without a reader that a user leaves open.
const REMAINS_MAX: usize = 2;

/// What an answer to a question of ours means.
pub(super) enum Question {
    Ping,
    /// These are safe: without stream management the answer to a ping says so.
    Acknowledges(Vec<Message>),
    /// The server has forgotten so many of what came.
    Settles(usize),
}

/// Why a connection is over.
pub(super) enum Over {
    Lost,
    Left,
}

pub struct User {
    pub(super) me: usize,
    pub(super) world: Rc<World>,
    pub(super) random: Random,
    pub(super) link: Option<Link>,
    /// Of the connection before this one, to resume with.
    pub(super) management: Option<Management>,
    /// Not acknowledged in the session before this one.
    pub(super) again: Vec<String>,
    pub(super) remains: Vec<Remains>,
    pub(super) session: usize,
    /// What the server had been through when this connection began.
    pub(super) gone: usize,
    /// Each with how often the server had gone when it was asked.
    pub(super) questions: BTreeMap<String, (Question, usize)>,
    pub(super) answered: BTreeMap<String, usize>,
    pub(super) asked: usize,
    /// Without stream management: sent and not acknowledged.
    pub(super) unconfirmed: Vec<Message>,
    pub(super) fenced: bool,
    pub(super) closing: bool,
    /// What the server said before it closed the stream.
    pub(super) last_words: Option<String>,
}

pub(super) type Faulty<T> = Result<T, String>;

impl User {
    pub fn new(me: usize, world: Rc<World>, random: Random) -> Self {
        Self {
            me,
            world,
            random,
            link: None,
            management: None,
            again: Vec::new(),
            remains: Vec::new(),
            session: 0,
            gone: 0,
            questions: BTreeMap::new(),
            answered: BTreeMap::new(),
            asked: 0,
            unconfirmed: Vec::new(),
            fenced: false,
            closing: false,
            last_words: None,
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.world.users[self.me]
    }

    pub(super) fn connection(&self) -> usize {
        self.seen().connection.get()
    }

    /// From the first login to the end of the run.
    pub async fn live(mut self) -> Faulty<()> {
        loop {
            self.connect().await?;
            self.seen().connected.set(true);
            let over = self.serve().await;
            self.seen().connected.set(false);
            match over? {
                Over::Lost => self.rest().await,
                Over::Left => return self.look_for_leftovers().await,
            }
        }
    }

    /// Away for a moment, sometimes for long enough that much comes meanwhile.
    async fn rest(&mut self) {
        let ms = match self.random.below(10) {
            0 => 300 + self.random.below(1200),
            1..4 => 0,
            _ => self.random.below(40),
        };
        sleep(Duration::from_millis(ms)).await;
    }

    /// Tries until there is a session. While the server stays up, the first try succeeds.
    async fn connect(&mut self) -> Faulty<()> {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let up = self.world.up.get();
            self.gone = self.world.gone.get();
            let error = match timeout(PATIENCE, self.try_connect()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if up && self.is_served() {
                return Err(format!("{} cannot log in: {error}", name(self.me)));
            }
            if Instant::now() > deadline {
                return Err(format!("{} waits for the server: {error}", name(self.me)));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn try_connect(&mut self) -> io::Result<()> {
        let login = self.world.login(self.me, &mut self.random);
        let link = match (self.seen().habit, self.management.take()) {
            (Habit::Plain, _) => Link::Plain(Box::new(Peer::login(&login).await?)),
            (Habit::Resumes, Some(management)) => match Managed::resume(&login, management).await {
                Err((management, error)) => {
                    self.management = Some(management);
                    return Err(error);
                }
                Ok(Resumption::Resumed(managed)) => {
                    count(&self.world.figures.resumed);
                    count(&self.seen().connection);
                    self.link = Some(Link::Managed(Box::new(managed)));
                    return Ok(());
                }
                Ok(Resumption::Refused(peer, mut management)) => {
                    if self.seen().life.get() == Some(self.world.life.get()) {
                        return Err(io::Error::other("a session that was there is refused"));
                    }
                    self.acknowledged(management.take_acknowledged());
                    self.again.extend(management.unacknowledged());
                    Link::Managed(Box::new(Managed::begin(peer, Some(RESOURCE), true).await?))
                }
            },
            (Habit::Resumes, None) => Link::Managed(Box::new(Managed::login(&login, true).await?)),
            (Habit::LogsInAnew, _) => {
                let may_be_resumed = self.random.percent(50);
                let managed = Managed::login(&login, may_be_resumed).await?;
                Link::Managed(Box::new(managed))
            }
        };
        self.begin(link).await;
        Ok(())
    }

    /// A session that nobody has had before: says again what was not acknowledged in the last one.
    async fn begin(&mut self, link: Link) {
        count(&self.world.figures.began_anew);
        count(&self.seen().connection);
        self.session += 1;
        self.seen().life.set(Some(self.world.life.get()));
        self.questions.clear();
        self.answered.clear();
        self.unconfirmed.clear();
        self.fenced = false;
        self.link = Some(link);
        // A failure shows when the link is read: it is lost like any other.
        let _ = self.send("<presence/>").await;
        for stanza in std::mem::take(&mut self.again) {
            if let Some(message) = Message::of_stanza(&stanza) {
                self.world.ledger.borrow_mut().send_again(message);
                let _ = self.send(&stanza).await;
            }
        }
    }

    pub(super) async fn send(&mut self, stanza: &str) -> io::Result<()> {
        match &mut self.link {
            Some(link) => link.send(stanza).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Until the connection is lost, or everything is over.
    async fn serve(&mut self) -> Faulty<Over> {
        self.last_words = None;
        let mut next = Instant::now();
        loop {
            let Some(link) = self.link.as_mut() else {
                return Err("no connection".to_owned());
            };
            let read = tokio::select! {
                element = link.next() => Some(element),
                () = sleep_until(next) => None,
            };
            let done = match read {
                Some(Ok(element)) => self.take(element).await?,
                Some(Err(error)) => Err(error),
                None if self.seen().doomed.replace(false) => {
                    self.die().await;
                    return Ok(Over::Lost);
                }
                None => {
                    next = Instant::now() + Duration::from_millis(1 + self.random.below(PAUSE_MS));
                    self.act().await
                }
            };
            if let Err(error) = done {
                return self.lost(&error);
            }
            if self.closing && self.questions.is_empty() {
                return self.leave().await;
            }
        }
    }

    /// Whether the server has not gone, and is not going, since this connection began.
    pub(super) fn is_served(&self) -> bool {
        self.world.up.get() && self.world.gone.get() == self.gone
    }

    /// The server has ended the connection: only because it has gone itself.
    fn lost(&mut self, error: &io::Error) -> Faulty<Over> {
        if self.is_served() {
            let words = self.last_words.take().unwrap_or_default();
            return Err(format!(
                "{} who {:?} lost connection {}: {error} {words}",
                name(self.me),
                self.seen().habit,
                self.connection()
            ));
        }
        let management = self.link.take().and_then(Link::end);
        self.keep(management);
        Ok(Over::Lost)
    }

    fn keep(&mut self, management: Option<Management>) {
        let Some(mut management) = management else {
            return;
        };
        self.acknowledged(management.take_acknowledged());
        match self.seen().habit {
            Habit::Resumes => self.management = Some(management),
            _ => self.again.extend(management.unacknowledged()),
        }
    }

    pub(super) fn acknowledged(&self, stanzas: Vec<String>) {
        let mut ledger = self.world.ledger.borrow_mut();
        for message in stanzas.iter().filter_map(|xml| Message::of_stanza(xml)) {
            ledger.acknowledge(message);
        }
    }

    /// Loses the connection in the middle of a stanza.
    async fn die(&mut self) {
        let stanza = if self.random.percent(80) {
            self.new_message().1
        } else {
            "<presence><show>away</show></presence>".to_owned()
        };
        let how = match self.random.below(3) {
            0 => Loss::Reset,
            1 => Loss::End,
            _ => Loss::Silence,
        };
        let part = u8::try_from(self.random.below(256)).unwrap();
        let Some(link) = self.link.take() else { return };
        let (management, remains) = link.lose(how, &stanza, part).await;
        self.keep(management);
        // What the server had closed already cannot be lost.
        self.remains.extend(remains);
        if self.remains.len() > REMAINS_MAX {
            self.remains.remove(0);
        }
    }

    pub(super) fn somebody_else(&mut self) -> usize {
        let others = self.world.users.len() - 1;
        (self.me + 1 + self.random.index(others)) % self.world.users.len()
    }

    pub(super) fn new_message(&mut self) -> (Message, String) {
        let to = self.somebody_else();
        let message = self
            .world
            .ledger
            .borrow_mut()
            .send(self.me, to, self.session);
        let padding = "x".repeat(self.random.index(300));
        let stanza = format!(
            "<message to='{}@localhost' type='chat' id='{message}'><body>{message} {padding}</body></message>",
            name(to)
        );
        (message, stanza)
    }
}
