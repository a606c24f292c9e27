//! tcpListener: a socket that listens while its address is reachable (spec `tcp-adaptor.md` section 3).

use super::encap;
use super::flow::{Flow, Inbound, Outbound, Role};
use super::service::Service;
use super::setup::{Identity, consumer, join, producer};
use crate::net::{self, MAX_BACKLOG};
use crate::transport::Transport;
use parking_lot::Mutex;
use router_engine::core::WatchId;
use router_engine::log::{Level, LogModule};
use router_engine::stream::Notify;
use router_engine::{Action, Effect, Mailbox, Router};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::{TcpListener as Socket, TcpStream};
use tokio::task::AbortHandle;

/// Connections taken from the kernel before other tasks get their turn.
const ACCEPTS: usize = 32;

/// Configuration of a tcpListener.
#[derive(Debug, Clone)]
pub struct TcpListenerParams {
    /// The entity's name.
    pub name: String,
    /// The service address, with the tenant prefix.
    pub address: String,
    /// Host to listen on; empty is every local address.
    pub host: String,
    /// Port number or service name.
    pub port: String,
    /// Listen backlog; 0 is the system's limit.
    pub backlog: u32,
}

/// A running tcpListener.
#[derive(Debug)]
pub struct TcpListener {
    shared: Arc<Shared>,
    task: AbortHandle,
    watch: WatchId,
    router: Arc<Router>,
}

#[derive(Debug)]
struct Shared {
    params: TcpListenerParams,
    service: Arc<Service>,
    status: Mutex<Status>,
}

#[derive(Debug, Clone, Default)]
struct Status {
    up: bool,
    message: String,
}

// === impl TcpListener ===

impl TcpListener {
    /// Begins to watch the address.
    #[must_use]
    pub fn start(params: TcpListenerParams, router: &Arc<Router>) -> Self {
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Info,
            "Configured TcpListener for {}, {}:{}",
            params.address,
            params.host,
            params.port
        );
        let mailbox = Arc::new(Mailbox::default());
        let watch = router.watch(&params.address, Notify { mailbox: Arc::clone(&mailbox), key: 0 });
        let shared = Arc::new(Shared { params, service: Arc::default(), status: Mutex::default() });
        let run = run(Arc::clone(&shared), Arc::clone(router), mailbox);
        let task = tokio::spawn(run).abort_handle();
        Self { shared, task, watch, router: Arc::clone(router) }
    }

    /// The configuration.
    #[must_use]
    pub fn params(&self) -> &TcpListenerParams {
        &self.shared.params
    }

    /// Connections accepted and closed.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.shared.service
    }

    /// Whether the socket listens, and the text of the last failure to do so.
    #[must_use]
    pub fn status(&self) -> (bool, String) {
        let status = self.shared.status.lock();
        (status.up, status.message.clone())
    }

    /// Stops listening; with `drop_connections` closes what was accepted.
    pub fn delete(self, drop_connections: bool) {
        self.task.abort();
        self.router.unwatch(self.watch);
        if drop_connections {
            self.shared.service.close_all();
        }
        let TcpListenerParams { address, host, port, .. } = &self.shared.params;
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Info,
            "Deleted TcpListener for {address}, {host}:{port}"
        );
    }
}

// === impl Shared ===

impl Shared {
    fn host_port(&self) -> String {
        format!("{}:{}", self.params.host, self.params.port)
    }

    fn listen(&self, backlog: i32) -> io::Result<Vec<Socket>> {
        let addresses = net::listen_addresses(&self.params.host, &self.params.port, None)?;
        net::listen_on_all(&addresses, backlog)?.into_iter().map(Socket::from_std).collect()
    }

    fn open(&self) -> Vec<Socket> {
        let TcpListenerParams { name, backlog, .. } = &self.params;
        let backlog = i32::try_from(*backlog).ok().filter(|b| (1..=MAX_BACKLOG).contains(b)).unwrap_or(MAX_BACKLOG);
        match self.listen(backlog) {
            Ok(sockets) => {
                *self.status.lock() = Status { up: true, message: String::new() };
                router_engine::log!(
                    LogModule::TcpAdaptor,
                    Level::Info,
                    "Listener {name}: listening for client connections on {} with backlog {backlog}",
                    self.host_port()
                );
                sockets
            }
            Err(error) => {
                let message = net::io_text(&error, "listen on", &self.host_port());
                router_engine::log!(
                    LogModule::TcpAdaptor,
                    Level::Error,
                    "Listener {name}: proactor listener error on {}: proton:io ({message})",
                    self.host_port()
                );
                *self.status.lock() = Status { up: false, message };
                Vec::new()
            }
        }
    }

    fn stopped(&self) {
        *self.status.lock() = Status::default();
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Info,
            "Listener {}: stopped listening for client connections on {}",
            self.params.name,
            self.host_port()
        );
    }
}

/// Opens and closes the socket as the address comes and goes, and accepts.
async fn run(shared: Arc<Shared>, router: Arc<Router>, mailbox: Arc<Mailbox>) {
    let mut sockets: Vec<Socket> = Vec::new();
    let mut reachable = false;
    loop {
        let now_reachable = next_event(&shared, &router, &mailbox, &sockets).await;
        if now_reachable == reachable {
            continue;
        }
        reachable = now_reachable;
        if reachable {
            // After a failure the next attempt is made when the address has gone and come back.
            sockets = shared.open();
        } else if !std::mem::take(&mut sockets).is_empty() {
            shared.stopped();
        }
    }
}

/// Accepts connections until reachability is told anew.
async fn next_event(shared: &Arc<Shared>, router: &Arc<Router>, mailbox: &Mailbox, sockets: &[Socket]) -> bool {
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    std::future::poll_fn(|cx| {
        loop {
            if mailbox.take(&mut effects, &mut ready) {
                ready.clear();
                let last = effects.drain(..).rev().find_map(|effect| match effect {
                    Effect::Watch { counts, .. } => Some(counts.reachable()),
                    _ => None,
                });
                if let Some(reachable) = last {
                    return Poll::Ready(reachable);
                }
            }
            let mut idle = true;
            for socket in sockets {
                idle &= accept_some(shared, router, socket, cx);
            }
            if !idle {
                cx.waker().wake_by_ref();
            }
            if mailbox.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Accepts a bounded number of clients. True when none is left.
fn accept_some(shared: &Arc<Shared>, router: &Arc<Router>, socket: &Socket, cx: &mut Context<'_>) -> bool {
    for _ in 0..ACCEPTS {
        match socket.poll_accept(cx) {
            Poll::Pending => return true,
            Poll::Ready(Ok((stream, peer))) => accept(shared, router, stream, peer),
            Poll::Ready(Err(error)) => {
                router_engine::log!(
                    LogModule::TcpAdaptor,
                    Level::Warning,
                    "Listener {}: accept failed: {error}",
                    shared.params.name
                );
            }
        }
    }
    false
}

/// Sets a flow up for a client (spec `tcp-adaptor.md` 7.1).
fn accept(shared: &Arc<Shared>, router: &Arc<Router>, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(|a| a.to_string());
    let mailbox = Arc::new(Mailbox::default());
    let member = shared.service.join(&mailbox);
    let params = &shared.params;
    let identity = Identity { initiator: false, host: peer.to_string(), local_socket: local, name: &params.name };
    let requests = [producer("tcp.lside.in", Some(&params.address)), consumer("tcp.lside.out", None, true)];
    let mut joined = join(router, mailbox, identity, requests);
    let link = joined.links[0].take();
    let reply_to = joined.links[1].take().and_then(|l| l.source);
    let (Some(link), Some(reply_to)) = (link, reply_to) else {
        let now = crate::clock::now();
        router.submit(joined.conn.id, &mut vec![Action::Closed], &mut Vec::new(), now);
        return;
    };
    let head = encap::client_head(&params.address, &reply_to, None);
    let inbound = Inbound::new(link.link, head, &joined.conn.mailbox, false);
    let deliver = inbound.deliver(None);
    let mut flow = Flow {
        role: Role::Listener,
        router: Arc::clone(router),
        conn: joined.conn,
        transport: Transport::plain(stream),
        inbound,
        outbound: Outbound::waiting(),
        _member: member,
        actions: vec![deliver],
        accepted: Vec::new(),
        failed: false,
    };
    flow.submit();
    tokio::spawn(flow.run());
}
