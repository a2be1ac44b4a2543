//! Binding the sockets of the configuration, all before any is served.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Listen;
use crate::net;

/// A socket that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {}", why(.addr, .source, .holder))]
pub struct BindError {
    /// The address.
    pub addr: SocketAddr,
    /// What the system said.
    pub source: io::Error,
    /// Who has the port, where the kernel tells: process id and name.
    pub holder: Option<(u32, String)>,
}

/// What is in the way, and the next command.
fn why(addr: &SocketAddr, source: &io::Error, holder: &Option<(u32, String)>) -> String {
    let port = addr.port();
    match (source.kind(), holder) {
        (io::ErrorKind::AddrInUse, Some((pid, name))) => format!(
            "process {pid} ({name}) has the port. `kill {pid}` ends it; or give another port in a configuration of \
             your own: stanzad -c FILE"
        ),
        (io::ErrorKind::AddrInUse, None) => format!(
            "another program has the port. `ss -ltnp 'sport = :{port}'` as root tells which; or give another port in a \
             configuration of your own: stanzad -c FILE"
        ),
        (io::ErrorKind::PermissionDenied, _) => format!(
            "{source}. Ports below 1024 need the capability: `setcap cap_net_bind_service=+ep $(command -v stanzad)`"
        ),
        _ => source.to_string(),
    }
}

impl BindError {
    /// Whether this machine does not have the address: an IPv6 loopback where IPv6 is off.
    #[must_use]
    pub fn not_here(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrNotAvailable
            || self.source.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
    }
}

/// Opens the socket of a `Listen`, non-blocking.
///
/// # Errors
/// When the system refuses the address.
pub fn bind(listen: &Listen) -> Result<TcpListener, BindError> {
    match open(listen, listen.addr) {
        // "*" where the machine has no IPv6.
        Err(error) if listen.dual_stack && error.not_here() => open(
            listen,
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.addr.port())),
        ),
        result => result,
    }
}

fn open(listen: &Listen, addr: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(addr),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        if addr.is_ipv6() {
            socket.set_only_v6(!listen.dual_stack)?;
        }
        socket.set_reuse_address(true)?;
        // Sizes are inherited by accepted sockets, and must be set before the handshake to count.
        if let Some(size) = listen.tcp_recv_buffer_size {
            socket.set_recv_buffer_size(size)?;
        }
        if let Some(size) = listen.tcp_send_buffer_size {
            socket.set_send_buffer_size(size)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(listen.listen_backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    open().map_err(|source| {
        let in_use = source.kind() == io::ErrorKind::AddrInUse;
        let holder = in_use.then(|| net::holder(addr)).flatten();
        BindError {
            addr,
            source,
            holder,
        }
    })
}
