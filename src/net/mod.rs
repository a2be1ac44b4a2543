//! Workers, sockets, the TLS driver, clock and timers: everything that touches the operating system's network.

mod clock;
mod holder;
mod timer;
pub mod tls;
mod turnstile;
mod worker;

pub use clock::{Clock, TimeSource};
pub use holder::holder;
pub use timer::{Deadline, Timers};
pub use turnstile::Turnstile;
pub use worker::{Charge, Job, Worker};
