//! How long the way to another router and back is, as TCP has measured it.
//!
//! Whoever asks reads it from the socket, on a thread of his own: the driver of the connection does nothing for it.
//! Each connection has a second handle of its socket here, which goes before the driver's own does.

use parking_lot::Mutex;
use router_engine::Router;
use router_engine::core::PeerTraffic;
use router_engine::port::AmqpPort;
use std::any::Any;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpStream;

/// The connections of all routers of this process.
static PROBES: Mutex<Vec<Weak<Probe>>> = Mutex::new(Vec::new());

/// A connection to another router, whose way is known for as long as this lives.
#[derive(Debug)]
pub(super) struct Probe {
    router: Weak<Router>,
    peer: Arc<PeerTraffic>,
    socket: OwnedFd,
}

/// The way of one connection.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    /// The router at its other end, and its role.
    pub peer: Arc<PeerTraffic>,
    /// The way there and back, smoothed.
    pub time: Duration,
}

/// The ways of a router's open connections to others of its network, where the system tells.
#[must_use]
pub fn round_trips(router: &Arc<Router>) -> Vec<RoundTrip> {
    let probes: Vec<_> = PROBES.lock().iter().filter_map(Weak::upgrade).collect();
    let own = probes.iter().filter(|probe| std::ptr::eq(probe.router.as_ptr(), Arc::as_ptr(router)));
    own.filter_map(|probe| probe.ask()).collect()
}

// === impl Probe ===

impl Probe {
    /// Of a connection that has opened; none of one to somebody else, or without a socket.
    pub(super) fn begin<S: 'static>(port: &AmqpPort, socket: &S) -> Option<Arc<Self>> {
        let peer = port.peer_traffic()?;
        let socket = (socket as &dyn Any).downcast_ref::<TcpStream>()?;
        let probe = Arc::new(Self {
            router: Arc::downgrade(port.router()),
            peer: Arc::clone(peer),
            socket: socket.as_fd().try_clone_to_owned().ok()?,
        });
        let mut probes = PROBES.lock();
        // Now and then those that are gone make room.
        if probes.len() == probes.capacity() {
            probes.retain(|known| known.strong_count() > 0);
        }
        probes.push(Arc::downgrade(&probe));
        Some(probe)
    }

    fn ask(&self) -> Option<RoundTrip> {
        let time = smoothed(&self.socket).ok()??;
        Some(RoundTrip { peer: Arc::clone(&self.peer), time })
    }
}

/// What TCP has measured; none before the first time.
#[cfg(target_os = "linux")]
fn smoothed(socket: &impl AsFd) -> io::Result<Option<Duration>> {
    use std::os::fd::AsRawFd;
    /// Where `tcpi_rtt` is in `struct tcp_info`, in words of four octets: microseconds.
    const RTT: usize = 17;
    let mut info = [0_u32; RTT + 1];
    let fd = socket.as_fd().as_raw_fd();
    let octets = uapi::getsockopt(fd, uapi::c::IPPROTO_TCP, uapi::c::TCP_INFO, &mut info)?;
    let micros = info[RTT];
    Ok((octets == size_of_val(&info) && micros > 0).then(|| Duration::from_micros(micros.into())))
}

#[cfg(not(target_os = "linux"))]
fn smoothed(_: &impl AsFd) -> io::Result<Option<Duration>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_way_within_a_machine_is_short() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut near = TcpStream::connect(server.local_addr().expect("bound")).await.expect("connected");
        let (mut far, _) = server.accept().await.expect("accepted");
        near.write_all(b"ping").await.expect("sent");
        far.read_exact(&mut [0; 4]).await.expect("received");
        let time = smoothed(&near).expect("a socket of TCP");
        assert!(time.is_some_and(|time| time < Duration::from_secs(1)), "{time:?}");
        let (other, _) = tokio::net::UnixStream::pair().expect("a pair");
        assert!(smoothed(&other).is_err());
    }
}
