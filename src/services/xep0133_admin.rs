//! XEP-0133: Service Administration, the part that makes, removes and lists users and ends their sessions. Commands are given
//! to a domain by those whom its `admins` name, and are about users of that domain alone (T82, T96, T98).

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::xep0050_commands::{Command, Done, Order, Work, bad_payload};
use super::{Parts, not_stored};
use crate::accounts::{AccountError, Accounts};
use crate::config::Config;
use crate::directory::{Closing, Directory};
use crate::form::{Field, FieldKind, Form, FormKind};
use crate::hook::{Outbox, Peer, PeerKind};
use crate::jid::Jid;
use crate::sasl::Secret;
use crate::stanza::{Condition, StanzaError};
use crate::store::Store;

/// What the forms are about.
const ABOUT: &str = "http://jabber.org/protocol/admin";

/// Users that one command may name.
const NAMED_MAX: usize = 100;

/// Addresses that a list shows at most, and the choices that its form offers.
const LISTED_MAX: usize = 1_000;
const LISTED: &[&str] = &["25", "50", "75", "100", "150", "200", "none"];

/// What the sessions that an administrator ends are told.
const ENDED: &str = "an administrator has ended this session";

/// What the commands work with.
pub(super) struct Tools {
    accounts: Arc<Accounts>,
    store: Store,
    directory: Arc<Directory>,
    config: Rc<dyn Fn() -> Arc<Config>>,
    outbox: Rc<dyn Outbox>,
}

impl Tools {
    pub(super) fn new(parts: &Parts) -> Rc<Tools> {
        Rc::new(Tools {
            accounts: parts.accounts.clone(),
            store: parts.store.clone(),
            directory: parts.directory.clone(),
            config: parts.config.clone(),
            outbox: parts.outbox.clone(),
        })
    }
}

/// A row of the table of commands.
struct Row {
    node: &'static str,
    title: &'static str,
    form: Option<fn() -> Form>,
    run: fn(Rc<Tools>, Order) -> Work,
}

/// Every command.
const ROWS: &[Row] = &[
    Row {
        node: "http://jabber.org/protocol/admin#add-user",
        title: "Add a user",
        form: Some(add_form),
        run: |tools, order| Box::pin(add(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#delete-user",
        title: "Delete users",
        form: Some(delete_form),
        run: |tools, order| Box::pin(delete(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#end-user-session",
        title: "End sessions of users",
        form: Some(end_form),
        run: |tools, order| Box::pin(end(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#change-user-password",
        title: "Change the password of a user",
        form: Some(password_form),
        run: |tools, order| Box::pin(change_password(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#get-registered-users-num",
        title: "Count the users",
        form: None,
        run: |tools, order| Box::pin(count_registered(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#get-registered-users-list",
        title: "List the users",
        form: Some(list_form),
        run: |tools, order| Box::pin(list_registered(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#get-online-users-num",
        title: "Count who is online",
        form: None,
        run: |tools, order| Box::pin(count_online(tools, order)),
    },
    Row {
        node: "http://jabber.org/protocol/admin#get-online-users-list",
        title: "List who is online",
        form: Some(list_form),
        run: |tools, order| Box::pin(list_online(tools, order)),
    },
];

/// A row with what it works with.
struct Task {
    row: &'static Row,
    tools: Rc<Tools>,
}

/// The commands of every domain.
pub(super) fn commands(tools: &Rc<Tools>) -> Vec<Rc<dyn Command>> {
    let task = |row| -> Rc<dyn Command> {
        let tools = tools.clone();
        Rc::new(Task { row, tools })
    };
    ROWS.iter().map(task).collect()
}

/// Whether `peer` is one of `admins`, known by its own login here, over a stream that nobody else can read or write: commands
/// carry passwords, and whoever writes into the stream would give them in its name.
fn is_admin(peer: &Peer, admins: &[Jid]) -> bool {
    let private = peer.tls.is_some()
        || peer
            .addr
            .is_some_and(|addr| addr.ip().to_canonical().is_loopback());
    peer.kind == PeerKind::Client
        && private
        && admins
            .iter()
            .any(|admin| admin.as_str() == peer.jid.bare_str())
}

impl Command for Task {
    fn node(&self) -> &'static str {
        self.row.node
    }

    fn title(&self) -> &'static str {
        self.row.title
    }

    fn allows(&self, peer: &Peer, domain: &str) -> bool {
        is_admin(peer, (self.tools.config)().admins_of(domain))
    }

    fn form(&self) -> Option<Form> {
        self.row.form.map(|form| form())
    }

    fn about(&self) -> &'static str {
        ABOUT
    }

    fn run(&self, order: Order) -> Work {
        (self.row.run)(self.tools.clone(), order)
    }
}

fn form() -> Form {
    Form::new(FormKind::Form, ABOUT)
}

fn account_field() -> Field {
    Field::new(
        FieldKind::JidSingle,
        "accountjid",
        "The address of the user",
    )
    .required()
}

fn accounts_field(label: &'static str) -> Field {
    Field::new(FieldKind::JidMulti, "accountjids", label).required()
}

fn password_field() -> Field {
    Field::new(FieldKind::TextPrivate, "password", "The password").required()
}

/// XEP-0133 §4.1. There is no place for a name or a mail address: users write their own card.
fn add_form() -> Form {
    let again = Field::new(
        FieldKind::TextPrivate,
        "password-verify",
        "The password again",
    );
    form()
        .titled("Add a user", "Give the new user an address and a password.")
        .with_field(account_field())
        .with_field(password_field())
        .with_field(again.required())
}

fn delete_form() -> Form {
    form()
        .titled(
            "Delete users",
            "Name the users to delete, with all that is kept for them.",
        )
        .with_field(accounts_field("The addresses of the users"))
}

fn end_form() -> Form {
    form()
        .titled(
            "End sessions of users",
            "Name users to end all their sessions, or full addresses to end one each.",
        )
        .with_field(accounts_field("Addresses of users or of sessions"))
}

fn password_form() -> Form {
    form()
        .titled(
            "Change the password of a user",
            "The sessions of the user end.",
        )
        .with_field(account_field())
        .with_field(password_field())
}

fn list_form() -> Form {
    let most = Field::new(
        FieldKind::ListSingle,
        "max_items",
        "How many to show at most",
    );
    form()
        .titled("List users", "Say how many to show.")
        .with_field(most.with_values(["none".to_owned()]).with_options(LISTED))
}

/// `jid`, if it is a user's address at the domain to which the order was given.
fn user(order: &Order, jid: Jid) -> Result<Jid, StanzaError> {
    if jid.local().is_none() {
        let told = format!("{jid} is not a user's address");
        return Err(StanzaError::new(Condition::BadRequest).with_text(told));
    }
    if jid.domain() != order.domain {
        let told = format!("{jid} is not at {}", order.domain);
        return Err(StanzaError::new(Condition::NotAllowed).with_text(told));
    }
    Ok(jid)
}

/// The one user that an order is about.
fn one(order: &Order) -> Result<Jid, StanzaError> {
    let jid = order.form.jid("accountjid");
    let jid = user(order, jid.map_err(|error| bad_payload(&error))?)?;
    if jid.is_full() {
        let told = format!("{jid} is the address of a session");
        return Err(StanzaError::new(Condition::BadRequest).with_text(told));
    }
    Ok(jid)
}

/// Whom an order is about.
fn several(order: &Order) -> Result<Vec<Jid>, StanzaError> {
    let jids = order.form.jids("accountjids");
    let jids = jids.map_err(|error| bad_payload(&error))?;
    if jids.len() > NAMED_MAX {
        let told = format!("more than {NAMED_MAX} addresses");
        return Err(StanzaError::new(Condition::NotAcceptable).with_text(told));
    }
    jids.into_iter().map(|jid| user(order, jid)).collect()
}

/// The password that an order gives.
fn password(order: &Order) -> Result<Secret, StanzaError> {
    let given = order.form.required("password");
    let given = given.map_err(|error| bad_payload(&error))?;
    let again = order.form.text("password-verify");
    let again = again.map_err(|error| bad_payload(&error))?;
    if again.is_some_and(|again| again != given) {
        let told = "the two passwords differ";
        return Err(StanzaError::new(Condition::NotAcceptable).with_text(told));
    }
    Ok(Secret::new(given.as_bytes()))
}

/// What the administrator is told.
fn refused(user: &Jid, error: &AccountError) -> StanzaError {
    match error {
        AccountError::Exists => {
            StanzaError::new(Condition::Conflict).with_text(format!("{user} exists already"))
        }
        AccountError::NotFound => {
            StanzaError::new(Condition::ItemNotFound).with_text(format!("there is no {user}"))
        }
        AccountError::Password(error) => {
            StanzaError::new(Condition::NotAcceptable).with_text(error.to_string())
        }
        error => {
            tracing::error!(%user, %error, "a command of an administrator failed");
            StanzaError::new(Condition::InternalServerError)
        }
    }
}

fn note(text: String) -> Done {
    Done {
        form: None,
        note: Some(text),
    }
}

async fn add(tools: Rc<Tools>, order: Order) -> Result<Done, StanzaError> {
    let (user, password) = (one(&order)?, password(&order)?);
    let iterations = (tools.config)().limits().scram_iterations;
    let made = tools.accounts.create(&user, password, iterations).await;
    made.map_err(|error| refused(&user, &error))?;
    tracing::info!(admin = %order.peer.jid, %user, "an administrator has made a user");
    Ok(note(format!("{user} can log in")))
}

/// Nobody is deleted if one of them does not exist. The address of a session stands for its user, as with other servers.
async fn delete(tools: Rc<Tools>, order: Order) -> Result<Done, StanzaError> {
    let mut users: Vec<Jid> = several(&order)?.iter().map(Jid::to_bare).collect();
    users.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    users.dedup();
    for user in &users {
        let exists = tools.store.user_exists(user.as_str()).await;
        if !exists.map_err(|error| not_stored(&error))? {
            return Err(refused(user, &AccountError::NotFound));
        }
    }
    for user in &users {
        let outbox = tools.outbox.clone();
        let tell = move |farewells| {
            outbox.send_all(farewells, 1);
        };
        let peer = &order.peer;
        let removed = tools.accounts.remove(user, Some(peer.id), tell).await;
        removed.map_err(|error| refused(user, &error))?;
        leave_if_own(peer, user);
        tracing::info!(admin = %peer.jid, %user, "an administrator has deleted a user");
    }
    Ok(note(format!("{} deleted", users.len())))
}

/// The session that gives an order about itself ends when it has heard what came of it.
fn leave_if_own(peer: &Peer, of: &Jid) {
    if peer.jid == *of || peer.jid.bare_str() == of.as_str() {
        peer.revoked.store(true, Ordering::Relaxed);
    }
}

async fn end(tools: Rc<Tools>, order: Order) -> Result<Done, StanzaError> {
    let peer = &order.peer;
    let why = Closing::Kicked(Arc::from(ENDED));
    let mut ended = 0_usize;
    for of in several(&order)? {
        let others = tools.accounts.end_sessions(&of, &why, Some(peer.id));
        ended = ended.saturating_add(others);
        leave_if_own(peer, &of);
        tracing::info!(admin = %peer.jid, %of, "an administrator has ended sessions");
    }
    Ok(note(format!("{ended} sessions of others ended")))
}

async fn change_password(tools: Rc<Tools>, order: Order) -> Result<Done, StanzaError> {
    let (user, password) = (one(&order)?, password(&order)?);
    let iterations = (tools.config)().limits().scram_iterations;
    let spared = Some(order.peer.id);
    let changed = tools
        .accounts
        .change_password(&user, password, iterations, spared)
        .await;
    changed.map_err(|error| refused(&user, &error))?;
    tracing::info!(admin = %order.peer.jid, %user, "an administrator has changed a password");
    Ok(note(format!("the password of {user} is changed")))
}

/// A result with one field.
fn told(kind: FieldKind, var: &'static str, label: &'static str, values: Vec<String>) -> Form {
    let field = Field::new(kind, var, label).with_values(values);
    Form::new(FormKind::Result, ABOUT).with_field(field)
}

fn number(var: &'static str, label: &'static str, count: usize) -> Done {
    Done {
        form: Some(told(
            FieldKind::TextSingle,
            var,
            label,
            vec![count.to_string()],
        )),
        note: None,
    }
}

/// As many of `all` as the order asks for, and how many there are if those are not all.
fn list(
    order: &Order,
    var: &'static str,
    label: &'static str,
    all: &[Jid],
) -> Result<Done, StanzaError> {
    let most = order.form.text("max_items");
    let most = match most.map_err(|error| bad_payload(&error))? {
        None | Some("none") => LISTED_MAX,
        Some(number) => number.parse::<usize>().map_err(|_| {
            StanzaError::new(Condition::NotAcceptable).with_text("max_items is a number, or none")
        })?,
    };
    let shown: Vec<String> = all
        .iter()
        .take(most.min(LISTED_MAX))
        .map(Jid::to_string)
        .collect();
    let cut = shown.len() < all.len();
    Ok(Done {
        note: cut.then(|| format!("{} of {}", shown.len(), all.len())),
        form: Some(told(FieldKind::JidMulti, var, label, shown)),
    })
}

async fn registered(tools: &Tools, order: &Order) -> Result<Vec<Jid>, StanzaError> {
    let users = tools.store.users(Some(&order.domain)).await;
    users.map_err(|error| not_stored(&error))
}

async fn count_registered(tools: Rc<Tools>, order: Order) -> Result<Done, StanzaError> {
    let users = registered(&tools, &order).await?;
    Ok(number(
        "registeredusersnum",
        "The number of users",
        users.len(),
    ))
}

async fn list_registered(tools: Rc<Tools>, order: Order) -> Result<Done, StanzaError> {
    let users = registered(&tools, &order).await?;
    list(&order, "registereduserjids", "The users", &users)
}

/// Users of the domain with a session, sorted.
fn online(tools: &Tools, order: &Order) -> Vec<Jid> {
    let accounts = tools.directory.accounts();
    let mut users: Vec<Jid> = accounts
        .iter()
        .filter(|account| account.bare().domain() == order.domain)
        .filter(|account| {
            account
                .lock()
                .is_some_and(|state| !state.resources().is_empty())
        })
        .map(|account| account.bare().clone())
        .collect();
    users.sort_unstable();
    users
}

fn count_online(tools: Rc<Tools>, order: Order) -> impl Future<Output = Result<Done, StanzaError>> {
    let count = online(&tools, &order).len();
    std::future::ready(Ok(number(
        "onlineusersnum",
        "The number of users online",
        count,
    )))
}

fn list_online(tools: Rc<Tools>, order: Order) -> impl Future<Output = Result<Done, StanzaError>> {
    let users = online(&tools, &order);
    std::future::ready(list(&order, "onlineuserjids", "Who is online", &users))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::hook::TlsInfo;

    fn peer(jid: &str, kind: PeerKind, addr: Option<&str>, tls: bool) -> Peer {
        Peer {
            id: 1,
            kind,
            jid: Jid::new(jid).unwrap(),
            addr: addr.map(|addr| addr.parse().unwrap()),
            tls: tls.then(|| TlsInfo {
                version: "TLSv1.3",
                cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
            }),
            told: Arc::default(),
            account: None,
            revoked: AtomicBool::new(false),
            vars: parking_lot::Mutex::default(),
        }
    }

    #[test]
    fn t96_an_admin_is_a_whole_address_that_logged_in_here() {
        let far = Some("192.0.2.7:50000");
        let admins = [Jid::new("alice@x.example").unwrap()];
        let may = |jid, kind, addr, tls| is_admin(&peer(jid, kind, addr, tls), &admins);
        assert!(may("alice@x.example/desk", PeerKind::Client, far, true));
        for jid in [
            "alice@y.example/desk",
            "alice@x.example.y.example/desk",
            "bob@x.example/alice@x.example",
            "x.example/alice",
        ] {
            assert!(!may(jid, PeerKind::Client, far, true), "{jid}");
        }
        let alice = "alice@x.example/desk";
        assert!(!may(alice, PeerKind::Internal, None, true));
        // In the clear only where nobody is on the way.
        assert!(!may(alice, PeerKind::Client, far, false));
        for near in ["127.0.0.1:50000", "[::1]:50000", "[::ffff:127.0.0.1]:50000"] {
            assert!(may(alice, PeerKind::Client, Some(near), false), "{near}");
        }
    }
}
