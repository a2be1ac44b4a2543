//! Caps on what peers may make us hold: connections per address, bytes in all.

mod memory;

pub use memory::{Charge, Memory, NEWCOMER_BYTES, Newcomer};

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts something per address: connections that have not logged in yet. Shared by all workers.
#[derive(Clone, Default)]
pub struct PerAddress(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One counted thing: gone when dropped.
pub struct Counted {
    counts: PerAddress,
    address: IpAddr,
}

impl PerAddress {
    /// Counts one more for `address`, unless it has `most` already.
    #[must_use]
    pub fn count(&self, address: IpAddr, most: usize) -> Option<Counted> {
        let mut counts = self.0.lock();
        if counts.get(&address).copied().unwrap_or_default() >= most {
            return None;
        }
        let count = counts.entry(address).or_default();
        *count = count.saturating_add(1);
        Some(Counted {
            counts: self.clone(),
            address,
        })
    }

    /// How many addresses have something counted.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.0.lock().len()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn counts_up_to_the_cap_and_forgets_addresses() {
        let counts = PerAddress::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let first = counts.count(address, 2).unwrap();
        let second = counts.count(address, 2).unwrap();
        assert!(counts.count(address, 2).is_none());
        drop(first);
        assert!(counts.count(address, 2).is_some());
        drop(second);
        assert_eq!(counts.addresses(), 0);
    }
}
