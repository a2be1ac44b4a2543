//! So many events per address and time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;

/// Most addresses that are remembered; when there are more, the newest is refused rather than an old one forgotten.
const ADDRESSES_MAX: usize = 16_384;

/// Counts events per address in windows of one length. Shared by all workers. An IPv6 host has a /64 to choose from, so
/// that counts as one address.
pub struct Rate {
    window_ms: u64,
    windows: Mutex<HashMap<IpAddr, Window>>,
}

struct Window {
    began_ms: u64,
    count: u32,
}

impl Rate {
    /// Counts in windows of `window_ms`.
    #[must_use]
    pub fn new(window_ms: u64) -> Rate {
        Rate {
            window_ms,
            windows: Mutex::default(),
        }
    }

    /// Counts one event of `address` now, unless it has had `most` in this window.
    pub fn count(&self, address: IpAddr, most: u32, now_ms: u64) -> bool {
        let mut windows = self.windows.lock();
        let over = |window: &Window| now_ms.saturating_sub(window.began_ms) >= self.window_ms;
        if windows.len() >= ADDRESSES_MAX {
            windows.retain(|_, window| !over(window));
            if windows.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let window = windows.entry(network(address)).or_insert(Window {
            began_ms: now_ms,
            count: 0,
        });
        if over(window) {
            *window = Window {
                began_ms: now_ms,
                count: 0,
            };
        }
        if window.count >= most {
            return false;
        }
        window.count = window.count.saturating_add(1);
        true
    }
}

/// The address that counts: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_so_many_events_and_the_next_begins_anew() {
        let rate = Rate::new(1000);
        let ip = |text: &str| text.parse().unwrap();
        assert!(rate.count(ip("192.0.2.1"), 2, 0));
        assert!(rate.count(ip("192.0.2.1"), 2, 999));
        assert!(!rate.count(ip("::ffff:192.0.2.1"), 2, 999));
        assert!(rate.count(ip("192.0.2.2"), 2, 999));
        assert!(rate.count(ip("192.0.2.1"), 2, 1000));
        assert!(rate.count(ip("2001:db8::1"), 1, 0));
        assert!(!rate.count(ip("2001:db8::ffff:2"), 1, 0));
        assert!(rate.count(ip("2001:db8:0:1::1"), 1, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rate = Rate::new(1000);
        for n in 0..ADDRESSES_MAX {
            let bits = u32::try_from(n).unwrap();
            assert!(rate.count(IpAddr::V4(bits.into()), 1, 0));
        }
        let newcomer = "192.0.2.1".parse().unwrap();
        assert!(!rate.count(newcomer, 1, 999));
        assert!(rate.count(newcomer, 1, 1000));
        assert_eq!(rate.windows.lock().len(), 1);
    }
}
