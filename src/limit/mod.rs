//! Caps on what peers may make us hold: connections per address, bytes in all.

mod memory;
mod rate;

pub use memory::{Charge, Memory, NEWCOMER_BYTES, Newcomer};
pub use rate::Rate;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Bits of an IPv6 address that its network's owner chooses freely.
const IPV6_HOST_BITS: u32 = 64;

/// Counts something per address: connections that have not logged in yet. Shared by all workers. IPv6 addresses count by
/// their first 64 bits: whoever has one has all the others of that network (RFC 6177 §2), and could use each but once.
#[derive(Clone, Default)]
pub struct PerAddress(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One counted thing: gone when dropped.
pub struct Counted {
    counts: PerAddress,
    address: IpAddr,
}

impl PerAddress {
    /// Counts one more for `address`, unless it has `most` already. An IPv4 address mapped to IPv6 counts as itself.
    #[must_use]
    pub fn count(&self, address: IpAddr, most: usize) -> Option<Counted> {
        let address = counted_as(address);
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

/// The address itself, or of its IPv6 network.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << IPV6_HOST_BITS);
            IpAddr::V6(network.into())
        }
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

    /// Many addresses of one IPv6 network are one peer; many IPv4 addresses are many, mapped or not.
    #[test]
    fn t06_an_ipv6_network_counts_as_one_address() {
        let counts = PerAddress::default();
        let count = |text: &str| counts.count(text.parse().unwrap(), 2);
        let (one, two) = (count("2001:db8:0:1::1"), count("2001:db8:0:1:ffff::2"));
        assert!(one.is_some() && two.is_some());
        assert!(count("2001:db8:0:1:8000::").is_none());
        let next = [count("2001:db8:0:2::1"), count("2001:db8:0:2::2")];
        assert!(next.iter().all(Option::is_some), "the next network");
        assert_eq!(counts.addresses(), 2);
        drop(one);
        assert!(count("2001:db8:0:1::3").is_some());
        drop((two, next));
        assert_eq!(counts.addresses(), 0);
        let mapped = [count("::ffff:192.0.2.1"), count("192.0.2.1")];
        assert!(mapped.iter().all(Option::is_some));
        assert!(count("::ffff:192.0.2.1").is_none());
        assert!(count("::ffff:192.0.2.2").is_some());
    }
}
