//! What we ask of the operating system: socket options, descriptor limits, no core files.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections the kernel holds for us between two accepts; it caps this at net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// First TCP keep-alive probe: below the 5 minutes after which home routers forget idle connections.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(120);
/// Between further probes.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);

/// A listening socket that shares its address with the other threads' sockets.
///
/// # Errors
/// What the operating system says, e.g. that the address is in use.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners: which addresses are served is never a surprise.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether nobody listens on an address yet. [`listen`] alone would join another process of the same user.
///
/// # Errors
/// The address is in use, or is not ours.
pub fn probe_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// Whether descriptors or memory ran out: our own fault, or the machine's, never the other side's.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|it| it.raw_os_error() == code))
}

/// Sets what every connection of ours has: no Nagle (a greeting must not wait for an acknowledgement), keep-alive, and
/// an end to unacknowledged data.
///
/// # Errors
/// What the operating system says.
pub fn tune(socket: &impl std::os::fd::AsFd, user_timeout: Duration) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY))?;
    socket.set_tcp_user_timeout(Some(user_timeout))
}

/// Makes the close of a socket a reset: the other side shall know that the conversation broke.
pub fn reset_on_close(socket: &impl std::os::fd::AsFd) {
    // Best effort: a close without reset tells the same a little later.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Raises the soft limit of descriptors to the hard one and returns it.
#[must_use]
pub fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused is survivable: accept rests when descriptors run out.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Keeps passwords and keys out of core files and away from debuggers of the same user.
pub fn forbid_core_files() {
    // Best effort: a sandbox may forbid it, and then it has its own rule for core files.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
