//! Names, ports and socket options.

mod eyeballs;
mod keep_alive;

pub use keep_alive::KeepAlive;

use crate::resolver::resolver;
use crate::tls::secret::os_text;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::borrow::Cow;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

/// The protocol family that an operator restricted a socket to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
}

/// What closing an accepted socket does to its connection, until the socket is told otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Closing {
    /// It ends in order.
    #[default]
    Orderly,
    /// It is reset.
    Reset,
}

/// What sockets inherit from the listening one that they are accepted from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inherited {
    /// What closing them does.
    pub closing: Closing,
    /// Their peers are probed.
    pub keep_alive: Option<KeepAlive>,
}

/// What the kernel takes for a backlog at most, whatever is asked for.
pub const MAX_BACKLOG: i32 = 4096;

// === impl Family ===

impl Family {
    /// The attribute's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Parses the attribute `socketAddressFamily`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }

    const fn admits(family: Option<Self>, address: &SocketAddr) -> bool {
        match family {
            None => true,
            Some(Self::V4) => address.is_ipv4(),
            Some(Self::V6) => address.is_ipv6(),
        }
    }
}

/// A host as it stands in a URL (RFC 3986 3.2.2).
pub(crate) fn url_host(host: &str) -> Cow<'_, str> {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]").into() } else { host.into() }
}

/// The number of a port given as text: a number or a service name. May read files: not for an IO thread.
#[must_use]
pub fn port_number(text: &str) -> Option<u16> {
    known_port(text).or_else(|| resolver().service_blocking(text))
}

/// As [`port_number`], without blocking.
pub async fn look_up_port(text: &str) -> Option<u16> {
    match known_port(text) {
        Some(number) => Some(number),
        None => resolver().service(text).await,
    }
}

/// The number of a port that no file need be read for.
fn known_port(text: &str) -> Option<u16> {
    match text {
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        _ => text.parse().ok(),
    }
}

/// The addresses to listen on; the empty host means every local address.
///
/// # Errors
/// When the host does not resolve, or there is no port number.
pub async fn listen_addresses(host: &str, number: Option<u16>, family: Option<Family>) -> io::Result<Vec<SocketAddr>> {
    let number = number.ok_or_else(unknown_service)?;
    let found = match local_literal(host, number) {
        Some(found) => found,
        None => look_up(host, number).await?,
    };
    admitted(found, family)
}

/// As [`listen_addresses`], when no name has to be looked up for it. `None`: one has to be.
pub(crate) fn literal_listen_addresses(
    host: &str,
    number: Option<u16>,
    family: Option<Family>,
) -> Option<io::Result<Vec<SocketAddr>>> {
    let Some(number) = number else { return Some(Err(unknown_service())) };
    local_literal(host, number).map(|found| admitted(found, family))
}

/// As [`listen_addresses`], of every family.
///
/// # Errors
/// When the host does not resolve, or there is no port number.
pub async fn look_up_local(host: &str, number: Option<u16>) -> io::Result<Vec<SocketAddr>> {
    listen_addresses(host, number, None).await
}

async fn look_up(host: &str, number: u16) -> io::Result<Vec<SocketAddr>> {
    let found = resolver().host(host).await?;
    let with_port = |address: &SocketAddr| {
        let mut address = *address;
        address.set_port(number);
        address
    };
    Ok(found.iter().map(with_port).collect())
}

fn local_literal(host: &str, number: u16) -> Option<Vec<SocketAddr>> {
    if host.is_empty() {
        return Some(vec![SocketAddr::from(([0; 4], number)), SocketAddr::from(([0u16; 8], number))]);
    }
    host.parse().ok().map(|ip| vec![SocketAddr::new(ip, number)])
}

fn admitted(mut found: Vec<SocketAddr>, family: Option<Family>) -> io::Result<Vec<SocketAddr>> {
    found.retain(|a| Family::admits(family, a));
    found.dedup();
    if found.is_empty() { Err(no_address()) } else { Ok(found) }
}

/// The addresses to connect to.
///
/// # Errors
/// When the host or port does not resolve.
pub async fn connect_addresses(host: &str, port: &str, family: Option<Family>) -> io::Result<Vec<SocketAddr>> {
    look_up_remote(host, look_up_port(port).await, family).await
}

/// As [`connect_addresses`], of a port whose number is known.
///
/// # Errors
/// When the host does not resolve, or there is no port number.
pub async fn look_up_remote(host: &str, number: Option<u16>, family: Option<Family>) -> io::Result<Vec<SocketAddr>> {
    let number = number.ok_or_else(unknown_service)?;
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, number)]);
    }
    admitted(look_up(host, number).await?, family)
}

fn unknown_service() -> io::Error {
    io::Error::other("Servname not supported for ai_socktype")
}

fn no_address() -> io::Error {
    io::Error::other("Name or service not known")
}

/// Opens a listening socket: not blocking, with address reuse, IPv6 sockets for IPv6 only. Sockets
/// accepted from it send without delay.
///
/// # Errors
/// Of the operating system.
pub fn listen_on(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    listen_with(address, backlog, Inherited::default())
}

/// A socket like those that listen.
fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn listen_with(address: SocketAddr, backlog: i32, inherited: Inherited) -> io::Result<std::net::TcpListener> {
    let socket = unbound(address)?;
    // Accepted sockets inherit the rest, which saves system calls for each.
    socket.set_tcp_nodelay(true)?;
    if inherited.closing == Closing::Reset {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if let Some(keep_alive) = inherited.keep_alive {
        keep_alive.apply(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Whether sockets could listen there, on all addresses that the host has. None is ever opened for connections.
/// Looks names up: not for an IO thread.
///
/// # Errors
/// When the host does not resolve, or that of the operating system for the first address.
pub fn can_listen(host: &str, port: &str, family: Option<Family>) -> io::Result<()> {
    let number = port_number(port).ok_or_else(unknown_service)?;
    let found = match local_literal(host, number) {
        Some(found) => found,
        None => (host, number).to_socket_addrs()?.collect(),
    };
    for address in admitted(found, family)? {
        match unbound(address) {
            Ok(socket) => socket.bind(&address.into())?,
            // A machine without the protocol does without the socket.
            Err(_) if host.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens listening sockets on all the addresses. One that the machine has no protocol for is left
/// out as long as another works. With port 0, all get the port that the first one was given.
///
/// # Errors
/// Of the operating system.
pub fn listen_on_all(
    addresses: &[SocketAddr],
    backlog: i32,
    inherited: Inherited,
) -> io::Result<Vec<std::net::TcpListener>> {
    let mut sockets: Vec<std::net::TcpListener> = Vec::new();
    let mut failure = None;
    for address in addresses {
        let mut address = *address;
        if address.port() == 0
            && let Some(first) = sockets.first()
        {
            address.set_port(first.local_addr()?.port());
        }
        match listen_with(address, backlog, inherited) {
            Ok(socket) => sockets.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// Connects to an address that answers, of several (Happy Eyeballs, RFC 8305).
///
/// # Errors
/// That of the last address.
pub async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    eyeballs::first(addresses, None, connect_one).await
}

/// As [`connect`], until `deadline`.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connect_until(deadline: Instant, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    eyeballs::first(addresses, Some(deadline), connect_one).await
}

async fn connect_one(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Before the connection exists, so that it costs nothing later.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Has the kernel reset a connection whose peer acknowledges nothing of what it was sent for that long, instead of
/// sending again for minutes (RFC 5482; Linux only).
pub(crate) fn limit_unacknowledged(stream: &TcpStream, limit: Duration) {
    #[cfg(target_os = "linux")]
    // The connection works without.
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(limit));
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, limit);
}

/// `<error text> - <what> <host:port>`: how socket errors are worded.
#[must_use]
pub fn io_text(error: &io::Error, what: &str, target: &str) -> String {
    format!("{} - {what} {target}", os_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ports() {
        assert_eq!(port_number("amqp"), Some(5672));
        assert_eq!(port_number("amqps"), Some(5671));
        assert_eq!(port_number("0"), Some(0));
        assert_eq!(port_number("65536"), None);
        assert_eq!(port_number("no-such-service-name"), None);
    }

    #[tokio::test]
    async fn service_names_are_looked_up() {
        assert_eq!(look_up_port("amqps").await, Some(5671));
        assert_eq!(look_up_port("65536").await, None);
        let text = std::fs::read_to_string("/etc/services").unwrap_or_default();
        if text.lines().any(|line| line.starts_with("ssh") && line.contains("22/tcp")) {
            assert_eq!(look_up_port("ssh").await, Some(22));
        }
    }

    #[tokio::test]
    async fn listens_on_both_families_with_one_port() {
        let addresses = listen_addresses("", Some(0), None).await.unwrap();
        assert_eq!(addresses.len(), 2);
        let sockets = listen_on_all(&addresses, 16, Inherited::default()).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|p| *p == ports[0] && *p != 0));
        let taken = SocketAddr::from(([0; 4], ports[0]));
        let error = listen_on_all(&[taken], 16, Inherited::default()).unwrap_err();
        assert_eq!(io_text(&error, "listen on", "x:1"), "Address already in use - listen on x:1");
    }

    #[tokio::test]
    async fn family_restricts() {
        let all = listen_addresses("", Some(0), Some(Family::V6)).await.unwrap();
        assert!(all.iter().all(SocketAddr::is_ipv6));
        assert!(listen_addresses("127.0.0.1", Some(0), Some(Family::V6)).await.is_err());
        assert!(literal_listen_addresses("127.0.0.1", Some(0), Some(Family::V6)).unwrap().is_err());
        assert!(literal_listen_addresses("localhost", Some(0), None).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_keeps_nobody_from_the_next() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        // Its queue is full, and further requests are not answered.
        let silent = listen_on(any, 0).unwrap();
        let silent = (silent.local_addr().unwrap(), silent);
        let _queued = connect_one(silent.0).await.unwrap();
        let good = listen_on(any, 16).unwrap();
        let limit = Duration::from_secs(30);
        let begun = Instant::now();
        let addresses = [silent.0, good.local_addr().unwrap()];
        let stream = connect_until(begun + limit, &addresses).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert_eq!(begun.elapsed().as_millis(), 250);
        let error = connect_until(begun + limit, &addresses[..1]).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
    }
}
