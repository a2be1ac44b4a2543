//! Conversations: a function that gets the later messages of one peer.
//!
//! The table of open conversations is shared, because two resources of a user may live on different workers; the
//! function runs on the worker that opened it. A conversation with a registered function goes on in the next
//! generation: while it waits, its coroutine is dropped, and its next message starts the function again with the data
//! that it gave to `xmpp.receive`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mlua::{Function, IntoLua, MultiValue, Value};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::jid::Jid;
use crate::stanza::{Condition, Stanza, StanzaError};

use super::api::stanza::LuaStanza;
use super::dispatch;
use super::hub::Hub;
use super::live::Live;
use super::plain::{Plain, to_lua};
use super::run::{Call, Running, finish};

/// Most open conversations of a process.
const MAX_OPEN: usize = 10_000;
/// Messages that may wait for one conversation.
const INBOX: usize = 32;

/// A message of a conversation.
pub(super) struct Said {
    pub(super) stanza: Stanza,
    pub(super) hops: u8,
}

/// All open conversations.
#[derive(Default)]
pub(super) struct Conversations {
    open: Mutex<HashMap<String, Open>>,
    count: AtomicUsize,
}

struct Open {
    id: u64,
    inbox: mpsc::Sender<Said>,
}

/// What became of a message offered to the conversations.
pub(super) enum Offered {
    /// No conversation wants it.
    Nobody,
    /// It waits in a conversation's inbox.
    Taken,
    /// The conversation's inbox is full.
    Full,
}

impl Conversations {
    /// Whether there is any: a look without the lock, for the way of every message.
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Gives `said` to the conversation of its sender, if there is one.
    pub(super) fn offer(&self, said: Said) -> Offered {
        let open = self.open.lock();
        let Some(found) = keys(&said.stanza).iter().find_map(|key| open.get(key)) else {
            return Offered::Nobody;
        };
        match found.inbox.try_send(said) {
            Ok(()) => Offered::Taken,
            Err(mpsc::error::TrySendError::Full(_)) => Offered::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Offered::Nobody,
        }
    }

    fn begin(&self, key: &str, id: u64) -> Option<mpsc::Receiver<Said>> {
        let mut open = self.open.lock();
        if open.len() >= MAX_OPEN {
            return None;
        }
        let (inbox, receiver) = mpsc::channel(INBOX);
        open.insert(key.to_owned(), Open { id, inbox });
        self.count.store(open.len(), Ordering::Release);
        Some(receiver)
    }

    fn end(&self, key: &str, id: u64) {
        let mut open = self.open.lock();
        if open.get(key).is_some_and(|have| have.id == id) {
            open.remove(key);
        }
        self.count.store(open.len(), Ordering::Release);
    }
}

/// The keys under which a conversation with the sender of `stanza` may be open, the narrowest first.
fn keys(stanza: &Stanza) -> Vec<String> {
    let Some(from) = stanza.from() else {
        return Vec::new();
    };
    let mut keys = Vec::with_capacity(4);
    if let Some(to) = stanza.to() {
        keys.push(format!("{} {}", from.as_str(), to.bare_str()));
        keys.push(format!("{} {}", from.bare_str(), to.bare_str()));
    }
    keys.push(from.as_str().to_owned());
    keys.push(from.bare_str().to_owned());
    keys
}

/// The key of a conversation with the sender of `stanza` at the address that it was sent to.
pub(super) fn key_of(stanza: &Stanza) -> Option<String> {
    let from = stanza.from()?.bare_str();
    let to = stanza.to()?.bare_str();
    Some(format!("{from} {to}"))
}

/// A key that a script wrote: `FROM` or `FROM TO`, both addresses.
pub(super) fn key_from(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().map(Jid::new);
    let from = words.next()?.ok()?;
    let to = words.next().transpose().ok()?;
    match (to, words.next()) {
        (Some(to), None) => Some(format!("{} {}", from.as_str(), to.bare_str())),
        (None, None) => Some(from.as_str().to_owned()),
        _ => None,
    }
}

/// The function of a conversation.
pub(super) enum Speaker {
    /// Registered: it goes on in later generations.
    Named(String),
    /// Not registered: it ends with its generation.
    Function(usize, Function),
}

/// One conversation, on the worker that opened it.
pub(super) struct Conversation {
    id: u64,
    key: String,
    speaker: Speaker,
    data: RefCell<Plain>,
    inbox: RefCell<Option<mpsc::Receiver<Said>>>,
    /// Until when `xmpp.receive` waits, while it does.
    waiting: watch::Sender<Option<Instant>>,
}

/// Gives the inbox back when a wait ends, however it ends.
struct Lent<'a> {
    conversation: &'a Conversation,
    inbox: mpsc::Receiver<Said>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let (_, empty) = mpsc::channel(1);
        let inbox = std::mem::replace(&mut self.inbox, empty);
        *self.conversation.inbox.borrow_mut() = Some(inbox);
        self.conversation.waiting.send_replace(None);
    }
}

impl Conversation {
    /// The next message, or none before `timeout`. `data` is what the function is started with if the generation
    /// changes meanwhile.
    pub(super) async fn receive(&self, timeout: Duration, data: Option<Plain>) -> Option<Said> {
        if let Some(data) = data {
            *self.data.borrow_mut() = data;
        }
        self.next(Instant::now() + timeout).await
    }

    async fn next(&self, deadline: Instant) -> Option<Said> {
        let inbox = self.inbox.borrow_mut().take()?;
        let mut lent = Lent {
            conversation: self,
            inbox,
        };
        self.waiting.send_replace(Some(deadline));
        tokio::time::timeout_at(deadline, lent.inbox.recv())
            .await
            .ok()
            .flatten()
    }

    /// Until the function waits in `xmpp.receive`.
    async fn waits(&self) -> Option<Instant> {
        self.waiting
            .subscribe()
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|deadline| *deadline)
    }
}

/// Why a conversation was not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("too many conversations are open")]
    TooMany,
}

/// Opens a conversation and runs it on this worker.
pub(super) fn open(
    hub: &Hub,
    key: String,
    speaker: Speaker,
    data: Plain,
    from: &Rc<Call>,
) -> Result<(), OpenError> {
    let task = hub.task().ok_or(OpenError::TooMany)?;
    let id = hub.timers().fresh_id();
    let inbox = hub
        .shared()
        .conversations
        .begin(&key, id)
        .ok_or(OpenError::TooMany)?;
    let conversation = Rc::new(Conversation {
        id,
        key,
        speaker,
        data: RefCell::new(data),
        inbox: RefCell::new(Some(inbox)),
        waiting: watch::Sender::new(None),
    });
    let first = from.stanza.clone().map(|stanza| Said {
        stanza,
        hops: from.hops.get(),
    });
    let hub = hub.clone();
    let live = Rc::clone(&from.live);
    tokio::task::spawn_local(async move {
        let _task = task;
        converse(&hub, &conversation, live, first).await;
        close(&hub, &conversation);
    });
    Ok(())
}

/// Runs the conversation's function, again in each new generation, until it ends.
async fn converse(
    hub: &Hub,
    conversation: &Rc<Conversation>,
    mut live: Rc<Live>,
    mut said: Option<Said>,
) {
    loop {
        let found = match &conversation.speaker {
            Speaker::Named(name) => live.named(name),
            Speaker::Function(script, function) => Some((*script, function.clone())),
        };
        let Some((script, function)) = found else {
            tracing::warn!(key = ?conversation.key, generation = live.number, "conversation's function is gone");
            return;
        };
        let mut call = Call::alone(&live, script, "conversation");
        call.conversation = Some(Rc::clone(conversation));
        call.stanza = said.as_ref().map(|said| said.stanza.clone());
        call.hops = Cell::new(said.as_ref().map_or(0, |said| said.hops));
        let call = Rc::new(call);
        let Ok(args) = arguments(&live, conversation, said.take()) else {
            return;
        };
        let running = Running::new(hub, Rc::clone(&call), &function, args);
        let deadline = tokio::select! {
            biased;
            done = finish(running, None) => {
                if let Err(error) = done {
                    dispatch::note(hub, &call, &error);
                }
                return;
            }
            deadline = moved(&live, conversation) => deadline,
        };
        drop(call);
        said = conversation.next(deadline).await;
        let Some(now) = hub.engine().and_then(|engine| engine.current()) else {
            return;
        };
        live = now;
    }
}

/// Until the generation is old and the function, a registered one, waits for a message: then it can move.
async fn moved(live: &Rc<Live>, conversation: &Conversation) -> Instant {
    live.retired().await;
    match (&conversation.speaker, conversation.waits().await) {
        (Speaker::Named(_), Some(deadline)) => deadline,
        _ => std::future::pending().await,
    }
}

fn arguments(
    live: &Rc<Live>,
    conversation: &Conversation,
    said: Option<Said>,
) -> mlua::Result<MultiValue> {
    let lua = live.vm.lua();
    let stanza = match said {
        Some(said) => LuaStanza::read_only(said.stanza)
            .charged_to(lua)?
            .into_lua(lua)?,
        None => Value::Nil,
    };
    let data = conversation.data.borrow().clone();
    Ok(MultiValue::from_iter([stanza, to_lua(lua, &data)?]))
}

/// Ends it. What was said and not heard is answered with an error, so that it is not lost in silence.
fn close(hub: &Hub, conversation: &Conversation) {
    hub.shared()
        .conversations
        .end(&conversation.key, conversation.id);
    let Some(mut inbox) = conversation.inbox.borrow_mut().take() else {
        return;
    };
    inbox.close();
    while let Ok(said) = inbox.try_recv() {
        let ended = StanzaError::new(Condition::RecipientUnavailable)
            .with_text("the conversation has ended");
        if let Some(answer) = said.stanza.error(&ended)
            && let Err(error) = hub.send(answer)
        {
            tracing::warn!(%error, "unheard message of a conversation not bounced");
        }
    }
}
