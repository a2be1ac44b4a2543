//! Time and randomness as values that are passed in, so that tests can move them by hand (DESIGN §5 Clock).

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

/// Where a [`Clock`] gets its time and its random bytes.
pub trait TimeSource: Send + Sync {
    /// Milliseconds since an arbitrary start; never falls.
    fn monotonic_ms(&self) -> u64;
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn wall_ms(&self) -> i64;
    /// Fills `out` with bytes that nobody can predict.
    fn random(&self, out: &mut [u8]);
}

/// A handle on time and randomness. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn TimeSource>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The operating system's clock and random generator.
    #[must_use]
    pub fn system() -> Clock {
        Clock(Arc::new(System {
            start: Instant::now(),
            random: SystemRandom::new(),
        }))
    }

    /// A clock of the caller's own.
    #[must_use]
    pub fn new(source: Arc<dyn TimeSource>) -> Clock {
        Clock(source)
    }

    /// Milliseconds since an arbitrary start; never falls.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        self.0.monotonic_ms()
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.0.wall_ms()
    }

    /// Fills `out` with unpredictable bytes: the one source of identifiers and nonces (T36).
    pub fn random(&self, out: &mut [u8]) {
        self.0.random(out);
    }

    /// An unpredictable identifier: 128 bits as 32 hexadecimal digits.
    #[must_use]
    pub fn random_id(&self) -> String {
        let mut bytes = [0u8; 16];
        self.random(&mut bytes);
        bytes
            .iter()
            .fold(String::with_capacity(32), |mut id, byte| {
                for nibble in [byte >> 4, byte & 15] {
                    id.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
                id
            })
    }
}

struct System {
    start: Instant,
    random: SystemRandom,
}

impl TimeSource for System {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn random(&self, out: &mut [u8]) {
        // Without randomness no session can be made safely: going on with predictable identifiers would be worse.
        self.random
            .fill(out)
            .expect("the operating system gives random bytes");
    }
}
