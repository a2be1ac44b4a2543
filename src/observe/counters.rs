//! Counters: plain numbers that only grow, added to from any thread and read by the console.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares [`Counters`] so that each counter has its name and its line of documentation once.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What one server has counted since its start. Shared by all threads; two servers in a process count apart.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Every counter's name and value, in the order of declaration.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Sockets accepted.
    connections,
    /// Sockets refused by a cap before a byte was read.
    connections_refused,
    /// Connections and sessions closed because `memory_hard_limit` was passed.
    memory_evictions,
    /// Streams that authenticated and bound a resource.
    logins,
    /// Streams that ended without a bound resource: bad credentials, bad TLS, a deadline.
    logins_failed,
    /// Sessions closed, for whatever reason.
    sessions_closed,
    /// Sessions that have lost their socket and wait to be resumed, each time.
    detached,
    /// Sessions that were resumed, each time.
    resumed,
    /// Stanzas read from sessions.
    stanzas_in,
    /// Stanzas written to sessions.
    stanzas_out,
    /// Messages put into the spool for users who are away.
    spooled,
    /// Messages given back to their senders: expired ones, and those that the operator gave up.
    bounced,
    /// Sessions ended by a panic in their code.
    panics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_names_every_counter_with_its_value() {
        let counters = Counters::default();
        counters.logins.one();
        counters.stanzas_in.add(3);
        let list = counters.list();
        assert!(list.contains(&("logins", 1)));
        assert!(list.contains(&("stanzas_in", 3)));
        assert!(list.contains(&("panics", 0)));
    }
}
