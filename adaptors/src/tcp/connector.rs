//! tcpConnector: consumes client streams of a service address and opens a server socket for each
//! (spec `tcp-adaptor.md` 7.2).

use super::encap::{self, HeadError};
use super::ending::{Fate, arm, modified};
use super::flow::{Flow, Role};
use super::report;
use super::service::{Member, Service, closed_or};
use super::setup::{self, Identity, consumer, join, producer};
use super::streams::{Inbound, Outbound, reader_of};
use crate::clock;
use crate::net;
use crate::tls::{ClientOptions, Consumer, Session, TlsClient, TlsConfigError, TlsError, TlsProfile, TlsUpdate};
use crate::transport::Transport;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::core::action::TransportFacts;
use router_engine::core::connection::ConnHandle;
use router_engine::core::effect::Push;
use router_engine::core::ids::ConnId;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::stream::{Pull, Reader};
use router_engine::{Action, Effect, LinkId, Mailbox, OutId, Router, Side};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// Octets of a head that may be read before it is complete.
const HEAD_PULL: usize = 64 * 1024;
/// How long looking a server up and connecting to it may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// How the connection that takes a tcpConnector's client streams shows its host.
const DISPATCHER: &str = "egress-dispatch";

/// Configuration of a tcpConnector.
#[derive(Debug, Clone)]
pub struct TcpConnectorParams {
    /// The entity's name.
    pub name: String,
    /// The service address, with the tenant prefix.
    pub address: String,
    /// The server's host.
    pub host: String,
    /// The server's port number or service name.
    pub port: String,
    /// The server uses TLS; this profile verifies it.
    pub tls: Option<TlsProfile>,
    /// The server's certificate must name the host.
    pub verify_hostname: bool,
}

/// A running tcpConnector.
#[derive(Debug)]
pub struct TcpConnector {
    shared: Arc<Shared>,
    dispatcher: ConnHandle,
    task: AbortHandle,
    router: Arc<Router>,
}

#[derive(Debug)]
struct Shared {
    params: TcpConnectorParams,
    /// The number of the port, when it has one.
    port: Option<u16>,
    service: Arc<Service>,
    tls: Mutex<Option<TlsClient>>,
}

/// A client stream that has left the dispatcher, and whose server socket is still to be opened.
struct Start {
    conn: ConnHandle,
    member: Member,
    /// Takes the server stream into the mesh.
    into: LinkId,
    client: ClientStream,
    /// What the core told meanwhile.
    effects: Vec<Effect>,
}

/// A connection in the core, taken out of it when dropped.
struct Presence {
    router: Arc<Router>,
    id: ConnId,
}

/// The claim on a client stream that has no flow yet. Dropped for whatever reason, it fails the stream.
struct Claim {
    router: Arc<Router>,
    out: OutId,
    conn: ConnId,
    /// The connection is the stream's own, and ends with it.
    own: bool,
    /// How the stream is settled; none once a flow has taken it.
    outcome: Option<DeliveryState>,
}

/// A client stream that is being read.
struct ClientStream {
    claim: Claim,
    reader: Reader,
    mailbox: Arc<Mailbox>,
    /// What came and is still to be written.
    pending: VecDeque<Bytes>,
}

// === impl TcpConnector ===

impl TcpConnector {
    /// Attaches to the address and serves.
    ///
    /// # Errors
    /// When the TLS profile cannot be used.
    pub fn start(params: TcpConnectorParams, router: &Arc<Router>) -> Result<Self, TlsConfigError> {
        let tls = params.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Info,
            "Configured TcpConnector for {}, {}:{}",
            params.address,
            params.host,
            params.port
        );
        let port = net::port_number(&params.port);
        let shared = Arc::new(Shared { params, port, service: Arc::default(), tls: Mutex::new(tls) });
        // The dispatcher counts as a connection of the connector.
        shared.service.count_opened();
        let identity =
            Identity { initiator: true, host: DISPATCHER.to_owned(), local_socket: None, name: &shared.params.name };
        let request = consumer("tcp.connector.out", Some(&shared.params.address), false);
        let joined = join(router, Arc::default(), identity, [request]);
        report::dispatcher_opened(joined.conn.id, DISPATCHER);
        let presence = Presence { router: Arc::clone(router), id: joined.conn.id };
        let run = dispatch(Arc::clone(&shared), presence, joined.conn.clone(), joined.rest);
        let task = tokio::spawn(run).abort_handle();
        Ok(Self { shared, dispatcher: joined.conn, task, router: Arc::clone(router) })
    }

    /// Loads new values of the TLS profile, for new connections once they are applied. Reads files: not for an IO
    /// thread.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
        let loaded = load(profile, &self.shared.params)?;
        let shared = Arc::clone(&self.shared);
        Ok(TlsUpdate::new(move || *shared.tls.lock() = Some(loaded)))
    }

    /// [`Self::prepare_tls`], applied at once.
    ///
    /// # Errors
    /// When the profile cannot be used; then nothing has changed.
    pub fn update_tls(&self, profile: &TlsProfile) -> Result<(), TlsConfigError> {
        self.prepare_tls(profile).map(TlsUpdate::apply)
    }

    /// The configuration.
    #[must_use]
    pub fn params(&self) -> &TcpConnectorParams {
        &self.shared.params
    }

    /// Connections opened and closed.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.shared.service
    }

    /// Leaves the address; with `drop_connections` closes the server connections.
    pub fn delete(self, drop_connections: bool) {
        self.shared.service.close(drop_connections);
        self.task.abort();
        self.router.submit(self.dispatcher.id, &mut vec![Action::Closed], &mut Vec::new(), clock::now());
        let TcpConnectorParams { address, host, port, .. } = &self.shared.params;
        router_engine::log!(LogModule::TcpAdaptor, Level::Info, "Deleted TcpConnector for {address}, {host}:{port}");
    }
}

fn load(profile: &TlsProfile, params: &TcpConnectorParams) -> Result<TlsClient, TlsConfigError> {
    let options = ClientOptions { verify_hostname: params.verify_hostname };
    TlsClient::load(profile, Consumer::Tcp, &options).inspect_err(|error| {
        let name = &params.name;
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Error,
            "tcpConnector {name} TLS configuration failed: Configuration: {error}"
        );
    })
}

/// Starts a flow for every client stream.
async fn dispatch(shared: Arc<Shared>, presence: Presence, conn: ConnHandle, mut effects: Vec<Effect>) {
    let router = &presence.router;
    let mut ready = Vec::new();
    loop {
        for effect in effects.drain(..) {
            if let Effect::Push(push) = effect {
                tokio::spawn(serve(Arc::clone(&shared), Arc::clone(router), conn.clone(), *push));
            }
        }
        std::future::poll_fn(|cx| {
            let taken = conn.mailbox.take(&mut effects, &mut ready);
            ready.clear();
            if !effects.is_empty() {
                Poll::Ready(())
            } else if !taken && conn.mailbox.park(cx.waker()) {
                Poll::Pending
            } else {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }
}

/// One client stream: reads its head, opens the server socket, then copies.
async fn serve(shared: Arc<Shared>, router: Arc<Router>, dispatcher: ConnHandle, mut push: Push) {
    let (conn, out) = (dispatcher.id, push.id);
    let claim = Claim { router: Arc::clone(&router), out, conn, own: false, outcome: Some(modified()) };
    let mailbox = Arc::new(Mailbox::default());
    let reader = reader_of(&mut push, &mailbox);
    let mut client = ClientStream { claim, reader, mailbox, pending: VecDeque::new() };
    drop(push);
    if BUDGET.refuses() {
        return client.claim.refuse(DeliveryState::Released);
    }
    let head = match read_head(&client.reader, &client.mailbox, &mut client.pending).await {
        Ok(head) => head,
        Err(HeadError::Malformed) => return client.claim.refuse(DeliveryState::Rejected(None)),
        Err(error @ HeadError::WrongEncapsulation) => {
            router_engine::log!(LogModule::TcpAdaptor, Level::Error, conn = conn, "{error}");
            return client.claim.refuse(DeliveryState::Released);
        }
    };
    let Some(reply_to) = head.reply_to else { return client.claim.refuse(DeliveryState::Rejected(None)) };
    Outbound::consume(&mut client.pending, head.len);
    let Some(mut start) = begin(&shared, &router, client) else { return };
    let conn = start.conn.id;
    let Start { client, effects, .. } = &mut start;
    let ClientStream { reader, mailbox, pending, .. } = client;
    let transport = tokio::select! {
        biased;
        () = closed_or(mailbox, effects, || has_left(reader, pending)) => None,
        transport = open(&shared, conn, head.alpn.as_deref()) => transport,
    };
    // There may be no server (spec `tcp-adaptor.md` 8.3).
    let Some(transport) = transport else { return };
    // A task of its own: this one is larger by what opening the connection took.
    tokio::spawn(start.flow(&router, transport, reply_to).run());
}

/// Whether a client whose server is still to be reached has left. It sends nothing yet but, maybe, its end.
fn has_left(reader: &Reader, pending: &mut VecDeque<Bytes>) -> bool {
    while pending.iter().map(Bytes::len).sum::<usize>() < HEAD_PULL {
        match reader.pull(HEAD_PULL, pending) {
            Pull::Data => {}
            Pull::Empty | Pull::Done => return false,
            Pull::Aborted => return true,
        }
    }
    reader.stream().is_aborted()
}

/// What refuses a client stream.
fn refusal(out: OutId, state: DeliveryState) -> [Action; 2] {
    [Action::Sent { delivery: out }, Action::Update { delivery: Side::Out(out), state: Some(state), settled: true }]
}

/// Gives a client stream a connection of its own in the core: from here on it does without the dispatcher.
/// `None`, and the stream is released, when the tcpConnector was deleted.
fn begin(shared: &Arc<Shared>, router: &Router, mut client: ClientStream) -> Option<Start> {
    let params = &shared.params;
    let Some(member) = shared.service.join(&client.mailbox) else {
        client.claim.refuse(DeliveryState::Released);
        return None;
    };
    let identity = Identity {
        initiator: true,
        host: format!("{}:{}", params.host, params.port),
        local_socket: None,
        name: &params.name,
    };
    let conn = setup::begin(router, Arc::clone(&client.mailbox), identity);
    let requests = [producer("tcp.cside.in", None), consumer("tcp.cside.out", None, false)];
    let mut joined = setup::attach(router, conn, Vec::new(), requests);
    let (Some(into), Some(out_of)) = (joined.links[0].take(), joined.links[1].take()) else {
        router.submit(joined.conn.id, &mut vec![Action::Closed], &mut Vec::new(), clock::now());
        client.claim.refuse(DeliveryState::Released);
        return None;
    };
    let mut moved = vec![Action::Move { delivery: client.claim.out, link: out_of.link }];
    router.submit(joined.conn.id, &mut moved, &mut Vec::new(), clock::now());
    (client.claim.conn, client.claim.own) = (joined.conn.id, true);
    Some(Start { conn: joined.conn, member, into: into.link, client, effects: joined.rest })
}

// === impl Start ===

impl Start {
    /// Copies between the server and the client stream.
    fn flow(self, router: &Arc<Router>, transport: Transport<TcpStream>, reply_to: String) -> Flow {
        let Self { conn, member, into, client: ClientStream { claim, reader, pending, .. }, effects } = self;
        let out = claim.release();
        let local_socket = transport.socket().local_addr().ok().map(|a| a.to_string());
        let facts = TransportFacts { local_socket, tls: None };
        let inbound = Inbound::new(into, encap::server_head(&reply_to), &conn.mailbox, true);
        let actions = vec![Action::Transport(Box::new(facts)), setup::opened(), inbound.deliver(Some(reply_to))];
        let mut flow = Flow {
            role: Role::Connector,
            router: Arc::clone(router),
            conn,
            handshaking: transport.is_tls(),
            transport,
            inbound,
            outbound: Outbound::started(out, reader, pending),
            _member: member,
            actions,
            fate: Fate::Open,
        };
        report::flow_opened(&flow);
        flow.start(effects);
        flow
    }
}

// === impl Claim ===

impl Claim {
    /// Settles the stream with an outcome.
    fn refuse(mut self, outcome: DeliveryState) {
        self.outcome = Some(outcome);
    }

    /// Leaves the stream, and the connection, to a flow.
    fn release(mut self) -> OutId {
        self.outcome = None;
        self.out
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        let mut actions = Vec::from(refusal(self.out, outcome));
        if self.own {
            actions.push(Action::Closed);
        }
        self.router.submit(self.conn, &mut actions, &mut Vec::new(), clock::now());
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.router.submit(self.id, &mut vec![Action::Closed], &mut Vec::new(), clock::now());
        report::connection_closed(self.id);
    }
}

/// Opens the server socket. `None` when that fails, which is logged.
async fn open(shared: &Shared, conn: ConnId, alpn: Option<&str>) -> Option<Transport<TcpStream>> {
    // Before the server is bothered: a session that cannot be made fails the stream like a refused connect.
    let session = make_session(shared, alpn).inspect_err(|error| {
        router_engine::log!(LogModule::TcpAdaptor, Level::Error, conn = conn, "Failed to create TLS session: {error}");
    });
    let session = session.ok()?;
    let params = &shared.params;
    let stream = connect(shared).await.inspect_err(|error| {
        let text = net::io_text(error, "on connect", &format!("{}:{}", params.host, params.port));
        router_engine::log!(LogModule::TcpAdaptor, Level::Info, conn = conn, "Connection failed: {text}");
    });
    let stream = stream.ok()?;
    Some(match session {
        Some(session) => Transport::tls(stream, session),
        None => Transport::plain(stream),
    })
}

fn make_session(shared: &Shared, alpn: Option<&str>) -> Result<Option<Session>, TlsError> {
    let tls = shared.tls.lock().clone();
    tls.map(|tls| tls.session(&shared.params.host, alpn.map(str::as_bytes))).transpose()
}

async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_LIMIT;
    let found = timeout_at(deadline, net::look_up_remote(&shared.params.host, shared.port, None)).await;
    let stream = net::connect_until(deadline, &found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?).await?;
    arm(&stream);
    Ok(stream)
}

/// Pulls until the head is complete.
async fn read_head(
    reader: &Reader,
    mailbox: &Mailbox,
    pending: &mut VecDeque<Bytes>,
) -> Result<encap::Head, HeadError> {
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    std::future::poll_fn(|cx| {
        loop {
            mailbox.take(&mut effects, &mut ready);
            ready.clear();
            let pull = reader.pull(HEAD_PULL, pending);
            if pull == Pull::Aborted {
                return Poll::Ready(Err(HeadError::Malformed));
            }
            match encap::parse(pending.make_contiguous(), pull == Pull::Done) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(None) if pull == Pull::Empty && mailbox.park(cx.waker()) => return Poll::Pending,
                Ok(None) => {}
            }
        }
    })
    .await
}
