//! Who holds a TCP port: for the one message that an operator gets when a port is in use.
//!
//! Linux only: `/proc/net/tcp` gives the inode of the listening socket, `/proc/PID/fd` who has it open. Processes of other
//! users keep their descriptors to themselves; then nobody is named.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The process that listens where `addr` cannot: its id and its name.
#[must_use]
pub fn holder(addr: SocketAddr) -> Option<(u32, String)> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|text| listening(&text, addr))
        .collect();
    inodes.into_iter().find_map(owner)
}

/// The inodes of sockets that listen on the port of `addr`, at its address or at one that covers it.
fn listening(table: &str, addr: SocketAddr) -> Vec<u64> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (ip, port) = local_address(fields.get(1)?)?;
            let conflicts = port == addr.port() && overlaps(ip, addr.ip());
            let inode = fields.get(9)?.parse().ok()?;
            (conflicts && fields.get(3) == Some(&LISTEN)).then_some(inode)
        })
        .collect()
}

fn overlaps(held: IpAddr, wanted: IpAddr) -> bool {
    held == wanted || held.is_unspecified() || wanted.is_unspecified()
}

/// `0100007F:1466` is 127.0.0.1:5222: words of four bytes in the machine's order, then the port.
fn local_address(field: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = ip.as_bytes().chunks(8).map(|digits| {
        let word = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<[u8; 4]>>>()?.concat();
    let ip = if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(v4))
    } else {
        let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?);
        v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
    };
    Some((ip, port))
}

/// The process that has the socket `inode` open.
fn owner(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|id| id.parse().ok()) else {
            continue;
        };
        if has_open(&process.path(), &wanted) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim_end().to_owned()));
        }
    }
    None
}

fn has_open(process: &Path, wanted: &str) -> bool {
    fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|target| target.to_str() == Some(wanted))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn holder_of_our_own_port_is_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert_eq!(holder(addr).unwrap().0, std::process::id());
        let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), addr.port());
        assert_eq!(holder(everywhere).unwrap().0, std::process::id());
        drop(listener);
        assert_eq!(holder(addr), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn kernel_table_is_read() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1466 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1
   1: 0100007F:1466 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1
   2: 0200007F:1466 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1
   3: 0000000000000000FFFF00000100007F:1466 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4714 1
   x: nonsense
";
        let found = listening(table, "127.0.0.1:5222".parse().unwrap());
        assert_eq!(found, [4711, 4714]);
        assert!(listening(table, "127.0.0.1:5223".parse().unwrap()).is_empty());
    }
}
