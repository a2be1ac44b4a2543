//! XML streams: negotiation as state machines without I/O, and the driver that runs them over a socket.
//!
//! [`accept()`] takes a client from its first byte to its bound resource (RFC 6120 §4 to §7): TLS, SASL, resource binding.
//! What it needs from the server comes in an [`AcceptContext`]; what it asks of users and sessions goes through
//! [`Authenticate`]. It ends with a [`Bound`] stream, and its own state is freed before the session begins.
//!
//! The state machine is [`Negotiation`]: who has another way to bring bytes (a fuzz target does) drives it alone.

mod accept;
mod condition;
mod negotiate;
pub mod sm;

pub use accept::{
    AcceptContext, AcceptError, AuthFailure, Authenticate, Bound, LocalFuture, NotResumed, accept,
};
pub use condition::{StreamCondition, stream_error_bytes, too_high_bytes};
pub use negotiate::{
    AfterLogin, Bounds, Components, Event, FailedLogin, FindComponent, Negotiation, NewAccount,
    Next, Refusal, Rules, StartTls,
};
