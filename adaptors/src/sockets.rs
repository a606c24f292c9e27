//! Listening sockets that any thread may close.

use crate::figures::ACCEPTS_FAILED;
use crate::net::{self, Inherited};
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};

/// The listening sockets of one listener. They are polled by its task, yet not owned by it, so that
/// their ports are free as soon as another thread has closed them.
#[derive(Debug, Default)]
pub struct Sockets {
    inner: Mutex<Inner>,
    inherited: Inherited,
}

#[derive(Debug, Default)]
struct Inner {
    open: Vec<Socket>,
    /// Where accepting goes on, so that no socket is left out for another.
    next: usize,
    retired: bool,
}

#[derive(Debug)]
struct Socket {
    listener: TcpListener,
    bound: SocketAddr,
}

/// A connection taken from a listening socket.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The address of the socket that it was taken from.
    pub bound: SocketAddr,
}

// === impl Sockets ===

impl Sockets {
    /// No sockets yet; those that are accepted will be as told.
    pub fn new(inherited: Inherited) -> Self {
        Self { inherited, ..Self::default() }
    }

    /// Opens sockets on all the addresses, within an executor. False when [`Self::retire`] came first.
    ///
    /// # Errors
    /// As [`net::listen_on_all`].
    pub fn open(&self, addresses: &[SocketAddr], backlog: i32) -> io::Result<bool> {
        let mut inner = self.inner.lock();
        if inner.retired {
            return Ok(false);
        }
        let opened = net::listen_on_all(addresses, backlog, self.inherited)?;
        inner.open = opened.into_iter().map(Socket::new).collect::<io::Result<_>>()?;
        Ok(true)
    }

    /// Whether sockets are open.
    pub fn is_open(&self) -> bool {
        !self.inner.lock().open.is_empty()
    }

    /// Closes the sockets; they may be opened again. False when none was open.
    pub fn close(&self) -> bool {
        !std::mem::take(&mut self.inner.lock().open).is_empty()
    }

    /// Closes the sockets for good. Nothing is accepted once this has returned.
    pub fn retire(&self) {
        let mut inner = self.inner.lock();
        inner.retired = true;
        inner.open = Vec::new();
    }

    /// The addresses of the open sockets.
    #[must_use]
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.inner.lock().open.iter().map(|socket| socket.bound).collect()
    }

    /// Takes a connection from any of the sockets; pending also when none is open. For one task only.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        for at in 0..inner.open.len() {
            let at = (inner.next + at) % inner.open.len();
            let Socket { listener, bound } = &inner.open[at];
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                inner.next = at + 1;
                if accepted.is_err() {
                    ACCEPTS_FAILED.count();
                }
                return Poll::Ready(accepted.map(|(stream, peer)| Accepted { stream, peer, bound: *bound }));
            }
        }
        Poll::Pending
    }
}

// === impl Socket ===

impl Socket {
    fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self { bound: socket.local_addr()?, listener: TcpListener::from_std(socket)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Closing, KeepAlive};
    use socket2::SockRef;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test]
    async fn a_port_is_free_once_its_sockets_are_retired() {
        let sockets = Sockets::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(sockets.open(&[any], 16).expect("opened"));
        let bound = sockets.bound();
        // Its task waits for connections while another thread closes it.
        assert!(poll_fn(|cx| Poll::Ready(sockets.poll_accept(cx).is_pending())).await);
        std::thread::scope(|scope| scope.spawn(|| sockets.retire()).join()).expect("retired");
        let successor = Sockets::default();
        assert!(successor.open(&bound, 16).expect("the port is free"));
        assert!(!sockets.open(&bound, 16).expect("no attempt"), "retired sockets stay closed");
        assert!(successor.close() && !successor.close());
        assert!(successor.open(&bound, 16).expect("opened again"));
    }

    #[tokio::test]
    async fn accepted_sockets_close_as_told() {
        for closing in [Closing::Orderly, Closing::Reset] {
            let sockets = Sockets::new(Inherited { closing, keep_alive: None });
            assert!(sockets.open(&[SocketAddr::from(([127, 0, 0, 1], 0))], 16).expect("opened"));
            let mut client = TcpStream::connect(sockets.bound()[0]).await.expect("connected");
            drop(poll_fn(|cx| sockets.poll_accept(cx)).await.expect("accepted"));
            let end = tokio::io::AsyncReadExt::read(&mut client, &mut [0]).await;
            assert_eq!(end.is_ok(), closing == Closing::Orderly, "{end:?}");
        }
    }

    #[tokio::test]
    async fn accepted_sockets_probe_their_peers_as_told() {
        let (interval, probes) = (Duration::from_secs(70), 5);
        for keep_alive in [None, Some(KeepAlive { interval, probes })] {
            let sockets = Sockets::new(Inherited { keep_alive, ..Inherited::default() });
            assert!(sockets.open(&[SocketAddr::from(([127, 0, 0, 1], 0))], 16).expect("opened"));
            let _client = TcpStream::connect(sockets.bound()[0]).await.expect("connected");
            let accepted = poll_fn(|cx| sockets.poll_accept(cx)).await.expect("accepted").stream;
            let socket = SockRef::from(&accepted);
            assert_eq!(socket.keepalive().expect("known"), keep_alive.is_some());
            let set = (interval, interval, probes);
            let kernel = || {
                Ok::<_, io::Error>((
                    socket.tcp_keepalive_time()?,
                    socket.tcp_keepalive_interval()?,
                    socket.tcp_keepalive_retries()?,
                ))
            };
            assert_eq!(kernel().expect("known") == set, keep_alive.is_some());
        }
    }

    #[tokio::test]
    async fn every_socket_gets_its_turn() {
        let sockets = Sockets::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let other = net::listen_on(any, 16).and_then(|socket| socket.local_addr()).expect("another port");
        assert!(sockets.open(&[any, other], 16).expect("opened"));
        let bound = sockets.bound();
        let mut clients = Vec::new();
        for at in [0, 0, 0, 1] {
            clients.push(TcpStream::connect(bound[at]).await.expect("connected"));
        }
        let mut taken = Vec::new();
        for client in &clients {
            let accepted = poll_fn(|cx| sockets.poll_accept(cx)).await.expect("accepted");
            taken.push(accepted.bound);
            assert!(clients.iter().any(|c| c.local_addr().ok() == Some(accepted.peer)), "{client:?}");
        }
        assert_eq!(taken.iter().position(|at| *at == bound[1]), Some(1), "after one of the other socket");
    }
}
