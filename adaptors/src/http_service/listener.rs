//! httpListener: a socket whose clients' requests go to the servers of its address ([`crate::service_socket`]).

use super::client::serve;
use super::io::ServiceIo;
use super::nursery::Jobs;
use super::pace::STALL_LIMIT;
use super::record::Records;
use super::requester::Requester;
use super::respond::Client;
use super::tally::{Counters, Direction, Tally};
use super::{Aggregation, HttpVersion, setup};
use crate::clock;
use crate::net::{self, Closing, Inherited, KeepAlive};
use crate::runtime::Io;
use crate::service_socket::{Place, ServiceSocket};
use crate::sockets::Accepted;
use crate::tasks::Steady;
use crate::tcp::{Label, Member, Service, Strategy, stranger};
use crate::tls::{AllowedClients, Consumer, ServerOptions, TlsConfigError, TlsProfile, TlsServer, TlsUpdate};
use crate::transport::Transport;
use parking_lot::Mutex;
use router_engine::exchange::Role;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::local::Endpoint;
use router_engine::{Mailbox, Router};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);

/// When TCP asks a silent client whether it is there.
const KEEP_ALIVE: KeepAlive = KeepAlive { interval: Duration::from_secs(60), probes: 3 };

/// Configuration of an httpListener.
#[derive(Debug, Clone, Default)]
pub struct HttpListenerParams {
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
    /// What clients speak.
    pub version: HttpVersion,
    /// Clients use TLS by this profile.
    pub tls: Option<TlsProfile>,
    /// Clients must present a certificate.
    pub authenticate_peer: bool,
    /// The only clients that may use the service.
    pub allowed_clients: Option<AllowedClients>,
    /// The answers of all servers become one.
    pub aggregation: Option<Aggregation>,
    /// Requests are events: they are answered when they have arrived.
    pub event_channel: bool,
    /// The site, told with requests.
    pub site: Option<String>,
}

/// An httpListener. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug)]
pub struct HttpListener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    params: HttpListenerParams,
    router: Arc<Router>,
    service: Arc<Service>,
    socket: ServiceSocket,
    tls: Mutex<Option<TlsServer>>,
    counters: Arc<Counters>,
}

// === impl HttpListener ===

impl HttpListener {
    /// Configures an httpListener; [`Self::activate`] starts it. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the TLS profile cannot be used.
    pub fn create(params: HttpListenerParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        let HttpListenerParams { name, address, host, port, backlog, version, .. } = &params;
        let label = Label { role: Role::Requester, name: name.clone(), address: address.clone() };
        let owner = io.service(format!("httpListener {name}"));
        let counters = Arc::new(Counters::new(Direction::In, address));
        let service = io.services().begin_http(label, owner, None, *version, Arc::clone(&counters));
        let place = Place {
            name: name.clone(),
            host: host.clone(),
            port: port.clone(),
            backlog: *backlog,
            module: LogModule::HttpAdaptor,
        };
        let inherited = Inherited { closing: Closing::Orderly, keep_alive: Some(KEEP_ALIVE) };
        log!(LogModule::HttpAdaptor, Level::Info, "Configured httpListener for {address}, {host}:{port}");
        let shared = Shared {
            router: Arc::clone(io.router()),
            socket: ServiceSocket::new(place, io.router(), Arc::clone(&service), Strategy::None, inherited),
            service,
            tls: Mutex::new(tls),
            counters,
            params,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins to watch the address, and listens while it can be reached.
    pub fn activate(&self) {
        let shared = &self.shared;
        if shared.service.activate() {
            let record = setup::listener_record(&shared.router, &shared.params);
            shared.socket.add_address(&shared.params.name, &shared.params.address, 0, record);
            let running = Arc::clone(shared);
            let run = async move { running.socket.run(|accepted| accept(&running, accepted)).await };
            if !shared.service.owner().spawn("listener", run) {
                shared.socket.withdraw();
            }
        }
    }

    /// The configuration.
    #[must_use]
    pub fn params(&self) -> &HttpListenerParams {
        &self.shared.params
    }

    /// Connections accepted and closed.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.shared.service
    }

    /// Whether the socket listens, be it for a consumer that may come back, and the text of the last failure to do so.
    #[must_use]
    pub fn status(&self) -> (bool, String) {
        self.shared.socket.status()
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

    /// Stops listening; the port is free at once. Connections end with the requests that are under way.
    pub fn drain(&self) {
        self.shared.service.close(false);
        self.shared.socket.withdraw();
    }

    /// [`Self::drain`], for good; with `drop_connections` cuts what was accepted.
    pub fn delete(&self, drop_connections: bool) {
        self.drain();
        self.shared.service.close(drop_connections);
        let HttpListenerParams { address, host, port, .. } = &self.shared.params;
        log!(LogModule::HttpAdaptor, Level::Info, "Deleted httpListener for {address}, {host}:{port}");
    }
}

// === impl Shared ===

impl Shared {
    /// Waits for somebody who serves the address, so long at most, if there is nobody.
    pub(super) async fn await_server(&self, patience: Duration) {
        if !self.socket.is_reachable() {
            let _ = timeout(patience, self.socket.reachable()).await;
        }
    }

    /// A client takes nothing of an answer, which is given up.
    pub(super) fn note_stalled(&self, peer: SocketAddr) {
        let (name, seconds) = (&self.params.name, STALL_LIMIT.as_secs());
        let text = format!("client {peer} has taken nothing of its answer for {seconds} seconds");
        log!(LogModule::HttpAdaptor, Level::Info, "Listener {name}: {text}");
    }

    /// Ready when somebody serves the address.
    pub(super) async fn reachable(&self) {
        self.socket.reachable().await;
    }
}

fn load(profile: &TlsProfile, params: &HttpListenerParams) -> Result<TlsServer, TlsConfigError> {
    let alpn = match params.version {
        HttpVersion::Http1 => vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    let options = ServerOptions { authenticate_peer: params.authenticate_peer, alpn };
    TlsServer::load(profile, Consumer::Tcp, &options).inspect_err(|error| {
        let name = &params.name;
        let text = "TLS configuration failed: Configuration";
        log!(LogModule::HttpAdaptor, Level::Error, "httpListener {name} {text}: {error}");
    })
}

/// Begins to serve a client. One that gets nobody to serve it is closed.
fn accept(shared: &Arc<Shared>, Accepted { stream, peer, .. }: Accepted) {
    if BUDGET.refuses() {
        return;
    }
    // No earlier than what is given up here: to the kernel a peer without room for more acknowledges nothing.
    net::limit_unacknowledged(&stream, STALL_LIMIT);
    let mailbox = Arc::default();
    let Some(member) = shared.service.join(&mailbox) else { return };
    let seat = member.seat();
    shared.service.owner().run(seat, Steady::new(run(Arc::clone(shared), stream, peer, mailbox, member)));
}

/// The life of a client's connection. The membership ends after all else.
async fn run(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, mailbox: Arc<Mailbox>, mut member: Member) {
    let Some(transport) = secure(&shared, stream, peer).await else { return };
    let local = transport.socket().local_addr().ok().map(|address| address.to_string());
    let HttpListenerParams { address, version, site, aggregation, event_channel, .. } = &shared.params;
    let identity = setup::identity(*version, false, peer.to_string(), local);
    let endpoint = Endpoint::join_with(&shared.router, identity, setup::open(*version), mailbox, clock::now());
    let Some(requester) = Requester::new(endpoint, address) else { return };
    let jobs = Jobs::default();
    let listener = shared.socket.choose(0).and_then(|chosen| chosen.record);
    let client = Client {
        requester: Arc::new(requester),
        nursery: jobs.nursery(),
        version: *version,
        address: address.clone(),
        site: site.clone(),
        scheme: if transport.is_tls() { "https" } else { "http" },
        aggregation: *aggregation,
        event_channel: *event_channel,
        tally: Tally::new(&shared.counters, &peer.ip().to_string()),
        agreed: Mutex::new(None),
        place: Arc::clone(&shared),
        peer,
        patience: shared.router.stream_retry(),
        records: Records::new(&shared.router, listener, peer, *version),
    };
    let io = match version {
        HttpVersion::Http1 => ServiceIo::framed(transport),
        HttpVersion::Http2 => ServiceIo::new(transport),
    };
    let io = io.limited();
    let counts = io.counts();
    let mut serving = pin!(serve(Arc::new(client), io, jobs, shared.service.owner().draining()));
    poll_fn(|cx| {
        let served = serving.as_mut().poll(cx);
        member.note(counts.get(), false);
        served
    })
    .await;
}

/// Does the TLS handshake, where there is TLS. None when it fails.
async fn secure(shared: &Shared, stream: TcpStream, peer: SocketAddr) -> Option<Transport<TcpStream>> {
    let tls = shared.tls.lock().clone();
    let Some(tls) = tls else { return Some(Transport::plain(stream)) };
    let name = &shared.params.name;
    let failed = |text: String| {
        log!(LogModule::HttpAdaptor, Level::Warning, "Listener {name}: TLS connection of {peer} failed: {text}");
    };
    let session = tls.session(&[]).inspect_err(|error| failed(error.to_string())).ok()?;
    let mut transport = Transport::tls(stream, session);
    let secured = tokio::select! {
        secured = timeout(HANDSHAKE_LIMIT, poll_fn(|cx| transport.poll_handshake(cx))) => secured,
        () = shared.service.owner().stopped() => return None,
    };
    match secured {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            failed(error.to_string());
            return None;
        }
        Err(_) => {
            failed(format!("no handshake within {} seconds", HANDSHAKE_LIMIT.as_secs()));
            return None;
        }
    }
    if let Some(name) = stranger(&shared.params.allowed_clients, &transport) {
        shared.service.count_stranger();
        failed(format!("{name} may not use the service: it is not among allowedClients"));
        return None;
    }
    let agreed = transport.info().and_then(|info| info.alpn.clone());
    // Who does not negotiate is taken to know.
    if shared.params.version == HttpVersion::Http2 && agreed.is_some_and(|agreed| agreed != b"h2") {
        failed("the client asks for another protocol than HTTP/2".to_owned());
        return None;
    }
    Some(transport)
}
