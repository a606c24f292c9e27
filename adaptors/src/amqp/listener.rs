//! AMQP listeners and the connections that they accept.

use super::driver::{Driver, transport_failure};
use super::params::{EndpointParams, ListenerParams};
use super::records::AccessRecord;
use super::registration::Registration;
use crate::clock;
use crate::listening::{self, Listening, Service, Words, load_tls};
use crate::runtime::Io;
use crate::start::{Begun, START_LIMIT, StartError, UNENCRYPTED, amqp_opening, begin, read_first};
use crate::tasks::Owner;
use crate::tls::{ServerOptions, SessionInfo, TlsConfigError, TlsServer};
use crate::transport::Transport;
use amqp_core::Instant;
use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::core::connection::{ConnFacts, ConnHandle, ConnParams};
use router_engine::core::ids::ConnId;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::{AmqpPort, PortError, SaslParams, TlsInfo};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What is said of peers that do not open in time.
const HANDSHAKE_TIMEOUT: &str = "Timeout waiting for initial handshake";

/// An AMQP listener. Dropping the handle does not end it: [`delete`](Self::delete) does.
pub type Listener = listening::Listener<Amqp>;

/// What AMQP listeners do with connections.
#[derive(Debug)]
pub struct Amqp {
    params: ListenerParams,
    io: Io,
    secured: Mutex<Secured>,
    /// Of a listener for routers.
    record: Option<Arc<AccessRecord>>,
}

/// An AMQP listener and what it shares with its connections.
type Shared = Listening<Amqp>;

/// A connection that comes to AMQP by another protocol.
pub(crate) struct Upgraded {
    /// The protocol, for the log.
    pub(crate) protocol: &'static str,
    pub(crate) peer: SocketAddr,
    /// Our end of its socket.
    pub(crate) local: Option<SocketAddr>,
    /// TLS below that protocol: what its handshake established, and with which credentials.
    pub(crate) tls: Option<(SessionInfo, TlsServer)>,
}

/// How a connection came to AMQP.
struct Beginning {
    /// What the peer sent first.
    first: Bytes,
    tls: Option<TlsInfo>,
    /// When the time for the handshake began.
    started: Instant,
}

/// The connections accepted with TLS.
#[derive(Debug)]
struct Secured {
    /// Credentials with a lower ordinal are no longer valid.
    oldest_valid: u64,
    /// With the ordinal of the credentials.
    connections: Vec<(ConnId, u64)>,
}

/// The place of a connection among the secured ones: kept for as long as this lives.
struct SecuredEntry<'a> {
    secured: &'a Mutex<Secured>,
    conn: ConnId,
}

// === impl Listener ===

impl Listener {
    /// Configures a listener; [`start`](Self::start) opens its socket. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When its TLS profile cannot be used.
    pub fn create(params: ListenerParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = load_tls(&params.endpoint, &tls_options(&params))?;
        let owner = io.carrier(format!("listener {}", params.endpoint.name));
        Ok(Self::new(Amqp::new(params, io), tls, owner))
    }
}

fn tls_options(params: &ListenerParams) -> ServerOptions {
    ServerOptions { authenticate_peer: params.demand_certificate, alpn: Vec::new() }
}

// === impl Amqp ===

impl Amqp {
    /// What connections of a listener with these parameters are to be.
    pub(crate) fn new(params: ListenerParams, io: &Io) -> Self {
        let oldest_valid = params.endpoint.tls.as_ref().map_or(0, |profile| profile.oldest_valid_ordinal);
        let record = AccessRecord::begin(io.router(), &params);
        let secured = Mutex::new(Secured { oldest_valid, connections: Vec::new() });
        Self { params, io: io.clone(), secured, record }
    }

    pub(crate) const fn params(&self) -> &ListenerParams {
        &self.params
    }

    pub(crate) const fn io(&self) -> &Io {
        &self.io
    }

    /// The life of a connection that speaks AMQP from now on, after the handshake of another protocol.
    pub(crate) async fn serve_upgraded<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        transport: Transport<S>,
        upgraded: Upgraded,
        owner: &Owner,
    ) {
        let Upgraded { protocol, peer, local, tls } = upgraded;
        let Some(_counted) = self.io.router().policy_totals().accept(peer.ip(), clock::now()) else { return };
        let conn = self.conn_params(peer, local, tls.as_ref().map(|(_, tls)| tls.ordinal()));
        let registration = Registration::new(&self.io, conn.clone());
        let id = registration.id();
        let address = self.params.endpoint.address();
        if self.tells_of_accepted(peer) {
            let line = "Accepted connection to";
            log!(LogModule::Server, Level::Info, conn = id, "{line} {address} from {peer} ({protocol})");
        }
        let run = self.run_upgraded(transport, tls, conn, registration);
        self.until_stopped(owner, id, peer, run).await;
    }

    async fn run_upgraded<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        mut transport: Transport<S>,
        tls: Option<(SessionInfo, TlsServer)>,
        conn: ConnParams,
        registration: Registration,
    ) -> Option<PortError> {
        let started = clock::now();
        if tls.is_none() && (self.params.require_encryption || self.params.require_ssl) {
            return start_failure(&StartError::Refused(UNENCRYPTED), &conn.facts.host);
        }
        let mut _secured = None;
        if let Some((_, tls)) = &tls {
            let Some(entry) = SecuredEntry::new(&self.secured, registration.id(), tls.ordinal()) else {
                log_expired(registration.id());
                return None;
            };
            _secured = Some(entry);
        }
        let first = match tokio::time::timeout(self.start_limit(), read_first(&mut transport)).await {
            Ok(Ok(first)) => first,
            Ok(Err(error)) => return start_failure(&error, &conn.facts.host),
            Err(_) => return Some(handshake_timeout()),
        };
        let tls = tls.map(|(info, tls)| tls_info_of(&info, &tls));
        self.converse(transport, Beginning { first, tls, started }, conn, registration).await
    }

    fn conn_params(&self, peer: SocketAddr, local: Option<SocketAddr>, tls_ordinal: Option<u64>) -> ConnParams {
        let facts =
            ConnFacts { host: peer.to_string(), local_socket: local.map(|address| address.to_string()), tls_ordinal };
        let endpoint = &self.params.endpoint;
        endpoint.conn_params(endpoint.role, facts)
    }

    /// How long a peer may take until it speaks AMQP.
    fn start_limit(&self) -> Duration {
        self.params.handshake_timeout.map_or(START_LIMIT, |limit| limit.min(START_LIMIT))
    }

    /// Whether the log tells of one more connection of a peer: not while it leaves out what became of others.
    fn tells_of_accepted(&self, peer: SocketAddr) -> bool {
        !self.io.router().policy_totals().refusals().is_sparing(peer.ip(), clock::now())
    }

    /// How long a peer may take until it has opened, if that is limited: strangers are not to stay by never ending a login.
    fn open_limit(&self) -> Option<Duration> {
        self.params.handshake_timeout.or(self.params.authenticate_peer.then_some(START_LIMIT))
    }

    /// Runs a connection to its end or that of its listener, and tells of a failure.
    async fn until_stopped(
        &self,
        owner: &Owner,
        id: ConnId,
        peer: SocketAddr,
        run: impl Future<Output = Option<PortError>>,
    ) {
        let ended = tokio::select! {
            // What is there to be sent when it is told to stop still goes out.
            biased;
            ended = run => ended,
            () = owner.stopped() => {
                log!(LogModule::Server, Level::Info, conn = id, "Closing connection on shutdown");
                return;
            }
        };
        let Some(failure) = ended else { return };
        if !self.io.router().policy_totals().refusals().tells(peer.ip(), clock::now()) {
            return;
        }
        if failure.condition == "amqp:not-allowed" && failure.description == HANDSHAKE_TIMEOUT {
            log!(LogModule::Error, Level::Error, "Run Time: {HANDSHAKE_TIMEOUT}");
            return;
        }
        let text = format!("{} {}", failure.condition, failure.description);
        let (text, address) = (text.trim_end(), self.params.endpoint.address());
        log!(LogModule::Server, Level::Error, conn = id, "Connection from {peer} (to {address}) failed: {text}");
    }

    /// Speaks AMQP until either side has ended it; returns what to report.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        transport: Transport<S>,
        beginning: Beginning,
        conn: ConnParams,
        registration: Registration,
    ) -> Option<PortError> {
        let (id, facts) = (registration.id(), conn.facts.clone());
        let port = self.make_port(beginning, conn, registration.into_handle());
        let mut driver = Driver::new(transport, port, id).with_authenticator(self.params.authenticator.clone());
        // What is open for as long as the connection is.
        let open = Arc::new(Mutex::new(None));
        if let Some(record) = self.record.clone() {
            let open = Arc::clone(&open);
            driver = driver.with_on_opened(Box::new(move |port| {
                if !port.is_data_only() {
                    *open.lock() = Some(record.opened(facts.tls_ordinal));
                }
            }));
        }
        let ending = (&mut driver).await;
        drop(open);
        let failure = ending.failure(&facts.host);
        if ending.lingers() {
            driver.linger().await;
        }
        failure
    }

    /// The port of a connection that has begun.
    fn make_port(&self, beginning: Beginning, conn: ConnParams, handle: ConnHandle) -> AmqpPort {
        let Beginning { first, tls, started } = beginning;
        let sasl = SaslParams::Server {
            require: self.params.authenticate_peer,
            mechanisms: self.params.mechanisms.clone(),
            external_identity: tls.as_ref().and_then(|tls| tls.user.clone()),
        };
        let mut port_params = self.params.endpoint.port_params(conn, sasl);
        port_params.open.access_id = self.record.as_ref().map(|record| record.id());
        port_params.open.failover_list.clone_from(&self.params.failover_list);
        // What TLS used up of the time for the handshake is gone.
        port_params.handshake_timeout =
            self.open_limit().map(|limit| limit.saturating_sub(clock::now().since(started)));
        let mut port = AmqpPort::new(port_params, handle, Arc::clone(self.io.router()), clock::now());
        if let Some(tls) = tls {
            port.set_tls(tls);
        }
        if !first.is_empty() {
            port.receive(first);
        }
        port
    }
}

impl Service for Amqp {
    const WORDS: Words = Words {
        module: LogModule::Server,
        protocol: "",
        listening: "Listening on",
        failed: "Listener error on",
        stopped: (Level::Debug, "Listener closed on"),
    };

    fn endpoint(&self) -> &EndpointParams {
        &self.params.endpoint
    }

    fn tls_options(&self) -> ServerOptions {
        tls_options(&self.params)
    }

    /// Routers are let in: through them the mesh keeps its ways.
    fn refuses(&self) -> bool {
        !self.params.endpoint.role.is_router() && BUDGET.refuses()
    }

    fn serve(listening: Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send {
        serve(listening, stream, peer)
    }

    fn expire(&self, oldest_valid: u64) {
        let (previous, expired) = self.secured.lock().expire(oldest_valid);
        if oldest_valid > previous {
            let name = &self.params.endpoint.name;
            log!(
                LogModule::Server,
                Level::Debug,
                "Listeners {name} new oldest valid TLS ordinal: {oldest_valid}, previous: {previous}"
            );
        }
        for (conn, _) in expired {
            log_expired(conn);
            self.io.router().close_connection(conn, None, false);
        }
    }
}

// === impl Secured ===

impl Secured {
    /// Takes out the connections whose credentials are no longer valid. Returns the former oldest valid ordinal too.
    fn expire(&mut self, oldest_valid: u64) -> (u64, Vec<(ConnId, u64)>) {
        let previous = std::mem::replace(&mut self.oldest_valid, oldest_valid);
        (previous, self.connections.extract_if(.., |&mut (_, ordinal)| ordinal < oldest_valid).collect())
    }

    /// Adds a connection. False when its credentials have become invalid during its handshake.
    fn add(&mut self, conn: ConnId, ordinal: u64) -> bool {
        let valid = ordinal >= self.oldest_valid;
        if valid {
            self.connections.push((conn, ordinal));
        }
        valid
    }
}

// === impl SecuredEntry ===

impl<'a> SecuredEntry<'a> {
    /// `None` when the credentials have become invalid during the handshake.
    fn new(secured: &'a Mutex<Secured>, conn: ConnId, ordinal: u64) -> Option<Self> {
        secured.lock().add(conn, ordinal).then(|| Self { secured, conn })
    }
}

impl Drop for SecuredEntry<'_> {
    fn drop(&mut self) {
        self.secured.lock().connections.retain(|&(conn, _)| conn != self.conn);
    }
}

fn log_expired(conn: ConnId) {
    log!(LogModule::Server, Level::Debug, conn = conn, "Closing due to expired TLS ordinal");
}

/// The life of an accepted connection.
async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let amqp = &shared.service;
    let Some(_counted) = amqp.io.router().policy_totals().accept(peer.ip(), clock::now()) else { return };
    amqp.params.endpoint.prepare(&stream);
    let ordinal = shared.tls().as_ref().map(TlsServer::ordinal);
    let conn = amqp.conn_params(peer, stream.local_addr().ok(), ordinal);
    let address = shared.address();
    let registration = Registration::new(&amqp.io, conn.clone());
    let id = registration.id();
    log!(LogModule::Server, Level::Debug, conn = id, separator = ": ", "Accepting incoming connection to '{address}'");
    if amqp.params.endpoint.tls.is_some() {
        log!(LogModule::Server, Level::Debug, conn = id, "Configuring SSL on {address}");
    }
    if amqp.tells_of_accepted(peer) {
        log!(LogModule::Server, Level::Info, conn = id, "Accepted connection to {address} from {peer}");
    }
    amqp.until_stopped(&shared.owner, id, peer, run(&shared, stream, conn, registration)).await;
}

/// Runs an accepted connection to its end; returns what to report.
async fn run(shared: &Shared, stream: TcpStream, conn: ConnParams, registration: Registration) -> Option<PortError> {
    let id = registration.id();
    let started = clock::now();
    let mut transport = Transport::plain(stream);
    let amqp = &shared.service;
    let require_encryption = amqp.params.require_encryption || amqp.params.require_ssl;
    let start = async {
        let mut begun = begin(&mut transport, amqp_opening, require_encryption, || shared.tls()).await?;
        let Some(tls) = &begun.tls else { return Ok(Some((begun, None))) };
        let Some(secured) = SecuredEntry::new(&amqp.secured, id, tls.ordinal()) else { return Ok(None) };
        begun.first = read_first(&mut transport).await?;
        Ok::<_, StartError>(Some((begun, Some(secured))))
    };
    let Ok(begun) = tokio::time::timeout(amqp.start_limit(), start).await else { return Some(handshake_timeout()) };
    let (Begun { first, tls }, _secured) = match begun {
        Ok(Some(begun)) => begun,
        Ok(None) => {
            log_expired(id);
            return None;
        }
        Err(error) => return start_failure(&error, &conn.facts.host),
    };
    let tls = transport.info().zip(tls.as_ref()).map(|(info, tls)| tls_info_of(info, tls));
    amqp.converse(transport, Beginning { first, tls, started }, conn, registration).await
}

/// What a port is told of TLS below it, and of who the peer is by its certificate.
fn tls_info_of(info: &SessionInfo, tls: &TlsServer) -> TlsInfo {
    tls_info(info, info.peer_certificate.as_ref().and_then(|certificate| tls.user(certificate)))
}

/// What a port is told of TLS below it.
pub(super) fn tls_info(info: &SessionInfo, user: Option<String>) -> TlsInfo {
    TlsInfo { protocol: info.protocol.to_owned(), cipher: info.cipher.to_owned(), ssf: info.ssf, user }
}

/// The peer has not begun in time.
fn handshake_timeout() -> PortError {
    PortError { condition: "amqp:not-allowed".to_owned(), description: HANDSHAKE_TIMEOUT.to_owned() }
}

fn start_failure(error: &StartError, peer: &str) -> Option<PortError> {
    let failure =
        |condition: &str, description: String| Some(PortError { condition: condition.to_owned(), description });
    match error {
        StartError::Refused(text) => failure("amqp:connection:policy-error", (*text).to_owned()),
        StartError::NoHeader => {
            failure("amqp:connection:framing-error", "No protocol header found (connection aborted)".to_owned())
        }
        StartError::Transport(error) => Some(transport_failure(error, peer)),
    }
}
#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tasks::contained;
    use router_engine::core::connection::ConnectionRole;
    use router_engine::core::{Mode, RouterConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A listener for clients on a port of the loopback interface.
    pub(crate) fn params(port: String) -> ListenerParams {
        let endpoint = EndpointParams {
            name: "l".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            family: None,
            role: ConnectionRole::Normal,
            cost: 1,
            max_frame_size: 16_384,
            max_sessions: 16,
            max_session_frames: None,
            idle_timeout: Duration::ZERO,
            liveness: None,
            link_capacity: 250,
            message_fields: router_engine::port::MessageFields::default(),
            strip_in: false,
            strip_out: false,
            open_properties: amqp_core::value::Map::new(),
            policy_vhost: None,
            tls: None,
        };
        ListenerParams {
            endpoint,
            authenticate_peer: false,
            require_encryption: false,
            require_ssl: false,
            mechanisms: Vec::new(),
            demand_certificate: false,
            handshake_timeout: None,
            failover_list: None,
            authenticator: None,
        }
    }

    /// Adaptors of a router of their own.
    pub(crate) fn io() -> Io {
        let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
        let router = Arc::new(router_engine::Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()));
        Io::new(router, tokio::runtime::Handle::current(), 2)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_no_header_is_sent_away() {
        for (configured, limit) in [(None, 60), (Some(Duration::from_secs(3)), 3), (Some(Duration::from_secs(90)), 60)]
        {
            for dribble in [&b""[..], b"AMQP", b"AMQP\x02\x01\x00", b"\x16"] {
                let endpoint = params("0".to_owned());
                let listener = Listener::create(ListenerParams { handshake_timeout: configured, ..endpoint }, &io());
                let listener = listener.expect("no TLS");
                listener.activate().expect("listens");
                let mut client = TcpStream::connect(listener.bound()[0]).await.expect("accepted");
                client.write_all(dribble).await.expect("sent");
                let begun = tokio::time::Instant::now();
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).await.expect("an end");
                assert_eq!((begun.elapsed().as_secs(), rest), (limit, Vec::new()), "{dribble:?}");
                listener.delete();
            }
        }
    }

    /// A connection to the listener, if it is let in: then the listener has sent something.
    async fn let_in(address: SocketAddr) -> Option<TcpStream> {
        let sasl = *b"AMQP\x03\x01\x00\x00";
        let mut client = TcpStream::connect(address).await.expect("accepted");
        // It may be closed already.
        client.write_all(&sasl).await.ok()?;
        let mut header = [0; 8];
        client.read_exact(&mut header).await.ok()?;
        assert_eq!(header, sasl);
        Some(client)
    }

    #[tokio::test]
    async fn a_login_that_never_ends_is_given_up() {
        let asking = |handshake_timeout| ListenerParams {
            authenticate_peer: true,
            mechanisms: vec!["PLAIN".to_owned()],
            handshake_timeout,
            ..params("0".to_owned())
        };
        let io = io();
        let open_limit = |params| Amqp::new(params, &io).open_limit();
        assert_eq!(open_limit(asking(None)), Some(START_LIMIT));
        assert_eq!(open_limit(params("0".to_owned())), None);
        let listener = Listener::create(asking(Some(Duration::from_secs(1))), &io).expect("no TLS");
        listener.activate().expect("listens");
        let mut client = let_in(listener.bound()[0]).await.expect("accepted");
        let mut rest = Vec::new();
        let end = client.read_to_end(&mut rest);
        tokio::time::timeout(Duration::from_secs(30), end).await.expect("an end").expect("in order");
        listener.delete();
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_of_policy_are_closed_unheard() {
        let io = io();
        let totals = Arc::clone(io.router().policy_totals());
        totals.limit_connections(2);
        let listener = Listener::create(params("0".to_owned()), &io).expect("no TLS");
        listener.activate().expect("listens");
        let address = listener.bound()[0];
        let held = [let_in(address).await, let_in(address).await];
        assert!(held.iter().all(Option::is_some));
        assert!(let_in(address).await.is_none());
        let figures = totals.figures();
        assert_eq!((figures.processed, figures.refused, figures.current, figures.denials), (3, 1, 2, 1));
        drop(held);
        // Their ends are noticed at some time.
        let again = async { while let_in(address).await.is_none() {} };
        tokio::time::timeout(Duration::from_secs(30), again).await.expect("let in again");
        listener.delete();
    }

    #[tokio::test]
    async fn a_task_that_panics_leaves_no_secured_connection_behind() {
        let listener = Listener::create(params("0".to_owned()), &io()).expect("no TLS");
        let amqp = &listener.shared().service;
        let id = amqp.io.router().connect(ConnParams::amqp(ConnectionRole::Normal), clock::now()).id;
        let lost = contained(async {
            let _entry = SecuredEntry::new(&amqp.secured, id, 0).expect("valid");
            assert_eq!(amqp.secured.lock().connections, [(id, 0)]);
            panic!("on purpose");
        });
        assert_eq!(lost.await, None::<()>);
        assert_eq!(amqp.secured.lock().connections, []);
        amqp.secured.lock().expire(1);
        assert!(SecuredEntry::new(&amqp.secured, id, 0).is_none(), "expired");
    }
}
