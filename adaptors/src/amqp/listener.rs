//! AMQP listeners and the connections that they accept.

use super::driver::{Driver, transport_failure};
use super::params::{EndpointParams, ListenerParams};
use super::records::AccessRecord;
use super::registration::Registration;
use super::start::{Begun, START_LIMIT, StartError, begin, read_first};
use crate::clock;
use crate::net::{self, io_text};
use crate::retry::Retry;
use crate::runtime::Io;
use crate::sockets::{Accepted, Sockets};
use crate::tasks::{Owner, contained};
use crate::tls::{Consumer, ServerOptions, SessionInfo, TlsConfigError, TlsProfile, TlsServer, TlsUpdate};
use crate::transport::Transport;
use amqp_core::Instant;
use parking_lot::{Condvar, Mutex};
use router_engine::core::connection::{ConnFacts, ConnHandle, ConnParams};
use router_engine::core::ids::ConnId;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::{AmqpPort, PortError, SaslParams, TlsInfo};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{self, Duration};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How long to wait after an accept failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is said of peers that do not open in time.
const HANDSHAKE_TIMEOUT: &str = "Timeout waiting for initial handshake";

/// An AMQP listener. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug, Clone)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    params: ListenerParams,
    io: Io,
    owner: Arc<Owner>,
    /// The number of the port, when it has one.
    port: Option<u16>,
    tls: Mutex<Option<TlsServer>>,
    secured: Mutex<Secured>,
    sockets: Sockets,
    opening: Mutex<Opening>,
    /// An attempt to open the socket is over.
    attempted: Condvar,
    /// Ends the pause between attempts.
    again: Notify,
    /// Of a listener for routers.
    record: Option<Arc<AccessRecord>>,
}

/// How far the socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Opening {
    /// Nobody asked for it.
    Configured,
    /// The first attempt is under way.
    Trying,
    /// The last attempt failed.
    Failed(ListenError),
    /// It listens.
    Open,
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

/// A socket could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description} ({condition})")]
pub struct ListenError {
    /// The condition symbol.
    pub condition: &'static str,
    /// Text for people.
    pub description: String,
}

// === impl Listener ===

impl Listener {
    /// Configures a listener; [`Self::start`] opens its socket. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When its TLS profile cannot be used.
    pub fn create(params: ListenerParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.endpoint.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        log!(LogModule::ConnMgr, Level::Info, "Configured  Listener: {}", params.endpoint.describe());
        let oldest_valid = params.endpoint.tls.as_ref().map_or(0, |profile| profile.oldest_valid_ordinal);
        let record = AccessRecord::begin(io.router(), &params);
        let shared = Shared {
            port: net::port_number(&params.endpoint.port),
            owner: io.carrier(format!("listener {}", params.endpoint.name)),
            params,
            io: io.clone(),
            tls: Mutex::new(tls),
            secured: Mutex::new(Secured { oldest_valid, connections: Vec::new() }),
            sockets: Sockets::default(),
            opening: Mutex::new(Opening::Configured),
            attempted: Condvar::new(),
            again: Notify::new(),
            record,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the socket and accepts connections from then on: at once, unless the host is a name. Then, and when it
    /// fails, it goes on in the background until it has succeeded. Called again, it cuts the pause between attempts
    /// short.
    pub fn start(&self) {
        let shared = &self.shared;
        if !shared.owner.activate() {
            return if shared.owner.is_draining() { shared.withdraw() } else { shared.again.notify_one() };
        }
        *shared.opening.lock() = Opening::Trying;
        let EndpointParams { host, family, .. } = &shared.params.endpoint;
        if let Some(found) = net::literal_listen_addresses(host, shared.port, *family) {
            shared.open(found);
        }
        if !shared.owner.spawn("listener", listen(Arc::clone(shared))) {
            shared.withdraw();
        }
    }

    /// Waits for the first attempt to open the socket. `None`: it is still under way when the time is over. Blocks:
    /// not for an IO thread.
    #[must_use]
    pub fn wait_started(&self, limit: Option<Duration>) -> Option<Result<(), ListenError>> {
        let until = limit.map(|limit| time::Instant::now() + limit);
        let mut opening = self.shared.opening.lock();
        loop {
            match &*opening {
                Opening::Open => return Some(Ok(())),
                Opening::Failed(error) => return Some(Err(error.clone())),
                Opening::Configured => return None,
                Opening::Trying => {}
            }
            match until {
                None => self.shared.attempted.wait(&mut opening),
                Some(until) if time::Instant::now() >= until => return None,
                Some(until) => drop(self.shared.attempted.wait_until(&mut opening, until)),
            }
        }
    }

    /// [`Self::start`], and waits for the first attempt.
    ///
    /// # Errors
    /// When it failed; this is also logged.
    pub fn activate(&self) -> Result<(), ListenError> {
        self.start();
        self.wait_started(None).unwrap_or(Ok(()))
    }

    /// The addresses that the listener is bound to.
    #[must_use]
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.shared.sockets.bound()
    }

    /// Stops accepting; the port is free at once. Connections live on.
    pub fn drain(&self) {
        self.shared.owner.drain();
        self.shared.withdraw();
    }

    /// [`Self::drain`], for good.
    pub fn delete(&self) {
        self.drain();
        log!(LogModule::ConnMgr, Level::Info, "Deleted  Listener: {}", self.shared.params.endpoint.describe());
    }

    /// Whether nothing of a deleted listener is left: no connection either.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.shared.owner.has_left()
    }

    /// Loads new values of the TLS profile. Applied, they hold for new connections, if there are still to be any, and
    /// connections whose credentials are no longer valid are closed. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
        let is_draining = self.shared.owner.is_draining();
        let loaded = if is_draining { None } else { Some(load(profile, &self.shared.params)?) };
        let (shared, oldest) = (Arc::clone(&self.shared), profile.oldest_valid_ordinal);
        Ok(TlsUpdate::new(move || shared.use_tls(loaded, oldest)))
    }
}

fn load(profile: &TlsProfile, params: &ListenerParams) -> Result<TlsServer, TlsConfigError> {
    let options = ServerOptions { authenticate_peer: params.demand_certificate, alpn: Vec::new() };
    TlsServer::load(profile, Consumer::Amqp, &options).inspect_err(|error| {
        let name = &params.endpoint.name;
        log!(LogModule::ConnMgr, Level::Error, "Failed to configure TLS for Listener {name}: Configuration: {error}");
    })
}

fn log_expired(conn: ConnId) {
    log!(LogModule::Server, Level::Debug, conn = conn, "Closing due to expired TLS ordinal");
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

// === impl Shared ===

impl Shared {
    fn is_for_routers(&self) -> bool {
        self.params.endpoint.role.is_router()
    }

    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let EndpointParams { host, family, .. } = &self.params.endpoint;
        net::listen_addresses(host, self.port, *family).await
    }

    /// Opens the socket on what was found.
    fn open(&self, found: io::Result<Vec<SocketAddr>>) {
        let address = self.params.endpoint.address();
        let opened = {
            let _executor = self.io.enter();
            found.and_then(|found| self.sockets.open(&found, net::MAX_BACKLOG))
        };
        match opened {
            Ok(true) => {
                self.log_listening(&address);
                *self.opening.lock() = Opening::Open;
            }
            // It was deleted meanwhile.
            Ok(false) => self.withdraw(),
            Err(error) => self.on_failure(&error, &address),
        }
        self.attempted.notify_all();
    }

    fn log_listening(&self, address: &str) {
        if self.port != Some(0) {
            log!(LogModule::Server, Level::Info, "Listening on {address}");
        } else if let Some(bound) = self.sockets.bound().first() {
            log!(LogModule::Server, Level::Info, "Listening on {bound} ({})", self.params.endpoint.name);
        }
    }

    /// Logged only when it is another failure than that of the attempt before.
    fn on_failure(&self, error: &io::Error, address: &str) {
        let error = ListenError { condition: "proton:io", description: io_text(error, "listen on", address) };
        let failed = Opening::Failed(error.clone());
        if std::mem::replace(&mut *self.opening.lock(), failed.clone()) != failed {
            log!(LogModule::Server, Level::Error, "Listener error on {address}: {error}");
        }
    }

    /// Nothing more is accepted, and nobody need wait for a first attempt any more.
    fn withdraw(&self) {
        self.sockets.retire();
        let mut opening = self.opening.lock();
        if matches!(*opening, Opening::Configured | Opening::Trying) {
            *opening = Opening::Failed(ListenError { condition: "proton:io", description: "ended".to_owned() });
        }
        self.attempted.notify_all();
    }

    fn use_tls(&self, loaded: Option<TlsServer>, oldest_valid: u64) {
        if let Some(loaded) = loaded {
            *self.tls.lock() = Some(loaded);
        }
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

    fn conn_params(&self, stream: &TcpStream, peer: SocketAddr) -> ConnParams {
        let facts = ConnFacts {
            host: peer.to_string(),
            local_socket: stream.local_addr().ok().map(|a| a.to_string()),
            tls_ordinal: self.tls.lock().as_ref().map(TlsServer::ordinal),
        };
        self.params.endpoint.conn_params(self.params.endpoint.role, facts)
    }
}

/// Opens the socket if it is not open yet, then accepts, until nothing more is to be accepted.
async fn listen(shared: Arc<Shared>) {
    tokio::select! {
        () = keep_listening(&shared) => {}
        () = shared.owner.draining() => {}
    }
    shared.withdraw();
    if *shared.opening.lock() == Opening::Open {
        log!(LogModule::Server, Level::Debug, "Listener closed on {}", shared.params.endpoint.address());
    }
}

/// Opens the socket and accepts. A panic costs what was being accepted, and nothing else.
async fn keep_listening(shared: &Arc<Shared>) {
    let listening = async || {
        open_at_last(shared).await;
        accept_all(shared).await;
    };
    while contained(listening()).await.is_none() {
        shared.owner.log_panic("listener");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Tries to open the socket until that succeeds.
async fn open_at_last(shared: &Shared) {
    let mut retry = Retry::default();
    loop {
        let opening = shared.opening.lock().clone();
        match opening {
            Opening::Open => return,
            Opening::Failed(_) => {
                retry.failed();
                tokio::select! {
                    () = retry.due() => {}
                    () = shared.again.notified() => {}
                }
            }
            Opening::Configured | Opening::Trying => {}
        }
        shared.open(shared.look_up().await);
    }
}

async fn accept_all(shared: &Arc<Shared>) {
    loop {
        match poll_fn(|cx| shared.sockets.poll_accept(cx)).await {
            // Routers are let in: through them the mesh keeps its ways.
            Ok(_) if !shared.is_for_routers() && BUDGET.refuses() => {}
            Ok(Accepted { stream, peer, .. }) => {
                #[cfg(test)]
                crate::tcp::capture::trip("accept");
                shared.owner.spawn("connection", serve(Arc::clone(shared), stream, peer));
            }
            Err(error) => {
                let address = shared.params.endpoint.address();
                log!(LogModule::Server, Level::Error, "Accept failed on {address}: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The life of an accepted connection.
async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    shared.params.endpoint.prepare(&stream);
    let conn = shared.conn_params(&stream, peer);
    let address = shared.params.endpoint.address();
    let registration = Registration::new(&shared.io, conn.clone());
    let id = registration.id();
    log!(LogModule::Server, Level::Debug, conn = id, separator = ": ", "Accepting incoming connection to '{address}'");
    if shared.params.endpoint.tls.is_some() {
        log!(LogModule::Server, Level::Debug, conn = id, "Configuring SSL on {address}");
    }
    log!(LogModule::Server, Level::Info, conn = id, "Accepted connection to {address} from {peer}");
    let ended = tokio::select! {
        // What is there to be sent when it is told to stop still goes out.
        biased;
        ended = run(&shared, stream, conn, registration) => ended,
        () = shared.owner.stopped() => {
            log!(LogModule::Server, Level::Info, conn = id, "Closing connection on shutdown");
            return;
        }
    };
    if let Some(failure) = ended {
        if failure.condition == "amqp:not-allowed" && failure.description == HANDSHAKE_TIMEOUT {
            log!(LogModule::Error, Level::Error, "Run Time: {HANDSHAKE_TIMEOUT}");
            return;
        }
        let text = format!("{} {}", failure.condition, failure.description);
        let text = text.trim_end();
        log!(LogModule::Server, Level::Error, conn = id, "Connection from {peer} (to {address}) failed: {text}");
    }
}

/// Runs an accepted connection to its end; returns what to report.
async fn run(shared: &Shared, stream: TcpStream, conn: ConnParams, registration: Registration) -> Option<PortError> {
    let id = registration.id();
    let started = clock::now();
    let mut transport = Transport::plain(stream);
    let params = &shared.params;
    let require_encryption = params.require_encryption || params.require_ssl;
    let start = async {
        let mut begun = begin(&mut transport, require_encryption, || shared.tls.lock().clone()).await?;
        let Some(tls) = &begun.tls else { return Ok(Some((begun, None))) };
        let Some(secured) = SecuredEntry::new(&shared.secured, id, tls.ordinal()) else { return Ok(None) };
        begun.first = read_first(&mut transport).await?;
        Ok::<_, StartError>(Some((begun, Some(secured))))
    };
    let limit = params.handshake_timeout.map_or(START_LIMIT, |limit| limit.min(START_LIMIT));
    let Ok(begun) = tokio::time::timeout(limit, start).await else {
        let condition = "amqp:not-allowed".to_owned();
        return Some(PortError { condition, description: HANDSHAKE_TIMEOUT.to_owned() });
    };
    let (Begun { first, tls }, _secured) = match begun {
        Ok(Some(begun)) => begun,
        Ok(None) => {
            log_expired(id);
            return None;
        }
        Err(error) => return start_failure(&error, &conn.facts.host),
    };
    let handle = registration.into_handle();
    let mut port = make_port(shared, &transport, tls.as_ref(), conn.clone(), handle, started);
    if !first.is_empty() {
        port.receive(first);
    }
    let mut driver = Driver::new(transport, port, id).with_authenticator(shared.params.authenticator.clone());
    // What is open for as long as the connection is.
    let open = Arc::new(Mutex::new(None));
    if let Some(record) = shared.record.clone() {
        let (open, ordinal) = (Arc::clone(&open), conn.facts.tls_ordinal);
        driver = driver.with_on_opened(Box::new(move |port| {
            if !port.is_data_only() {
                *open.lock() = Some(record.opened(ordinal));
            }
        }));
    }
    let ending = (&mut driver).await;
    drop(open);
    let failure = ending.failure(&conn.facts.host);
    if ending.lingers() {
        driver.linger().await;
    }
    failure
}

/// The port of a connection that has begun.
fn make_port(
    shared: &Shared,
    transport: &Transport<TcpStream>,
    tls: Option<&TlsServer>,
    conn: ConnParams,
    handle: ConnHandle,
    started: Instant,
) -> AmqpPort {
    let params = &shared.params;
    let secured = transport.info().zip(tls);
    let user = secured.and_then(|(info, tls)| tls.user(info.peer_certificate.as_ref()?));
    let sasl = SaslParams::Server {
        require: params.authenticate_peer,
        mechanisms: params.mechanisms.clone(),
        external_identity: user.clone(),
    };
    let mut port_params = params.endpoint.port_params(conn, sasl);
    port_params.open.access_id = shared.record.as_ref().map(|record| record.id());
    port_params.open.failover_list.clone_from(&params.failover_list);
    // What TLS used up of the time for the handshake is gone.
    port_params.handshake_timeout =
        params.handshake_timeout.map(|limit| limit.saturating_sub(clock::now().since(started)));
    let mut port = AmqpPort::new(port_params, handle, Arc::clone(shared.io.router()), clock::now());
    if let Some((info, _)) = secured {
        port.set_tls(tls_info(info, user));
    }
    port
}

/// What a port is told of TLS below it.
pub(super) fn tls_info(info: &SessionInfo, user: Option<String>) -> TlsInfo {
    TlsInfo { protocol: info.protocol.to_owned(), cipher: info.cipher.to_owned(), ssf: info.ssf, user }
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
mod tests {
    use super::*;
    use crate::tcp::capture;
    use router_engine::core::connection::ConnectionRole;
    use router_engine::core::{Mode, RouterConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn params(port: String) -> ListenerParams {
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

    fn io() -> Io {
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_port_that_was_taken_is_tried_again() {
        let taken = net::listen_on(SocketAddr::from(([127, 0, 0, 1], 0)), 16).expect("a port");
        let address = taken.local_addr().expect("bound");
        let listener = Listener::create(params(address.port().to_string()), &io()).expect("no TLS");
        let error = listener.activate().expect_err("taken");
        assert_eq!(error.description, format!("Address already in use - listen on {address}"));
        drop(taken);
        let shared = Arc::clone(&listener.shared);
        let opened = tokio::task::spawn_blocking(move || {
            let mut opening = shared.opening.lock();
            while *opening != Opening::Open {
                shared.attempted.wait(&mut opening);
            }
        });
        tokio::time::timeout(Duration::from_secs(20), opened).await.expect("in time").expect("no panic");
        TcpStream::connect(address).await.expect("listens");
        listener.delete();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_port_of_a_deleted_listener_is_free_at_once() {
        let io = io();
        let first = Listener::create(params("0".to_owned()), &io).expect("no TLS");
        first.activate().expect("listens");
        let bound = first.bound()[0];
        first.delete();
        let second = Listener::create(params(bound.port().to_string()), &io).expect("no TLS");
        second.activate().expect("the port is free");
        TcpStream::connect(bound).await.expect("the second one listens");
    }

    #[tokio::test]
    async fn a_task_that_panics_leaves_no_secured_connection_behind() {
        let listener = Listener::create(params("0".to_owned()), &io()).expect("no TLS");
        let shared = &listener.shared;
        let id = shared.io.router().connect(ConnParams::amqp(ConnectionRole::Normal), clock::now()).id;
        let lost = contained(async {
            let _entry = SecuredEntry::new(&shared.secured, id, 0).expect("valid");
            assert_eq!(shared.secured.lock().connections, [(id, 0)]);
            panic!("on purpose");
        });
        assert_eq!(lost.await, None::<()>);
        assert_eq!(shared.secured.lock().connections, []);
        shared.secured.lock().expire(1);
        assert!(SecuredEntry::new(&shared.secured, id, 0).is_none(), "expired");
    }

    #[tokio::test]
    async fn a_listener_whose_task_panics_goes_on() {
        capture::start();
        let listener = Listener::create(params("0".to_owned()), &io()).expect("no TLS");
        listener.activate().expect("listens");
        let connect = async || TcpStream::connect(listener.bound()[0]).await.expect("listens");
        capture::fail_at("accept");
        let lost = connect().await.read_to_end(&mut Vec::new()).await;
        assert!(lost.is_ok_and(|octets| octets == 0));
        let panicked = "ERROR (error) Internal error: a task has panicked: listener of listener l";
        assert_eq!(capture::with("panicked"), [panicked]);
        let _accepted = connect().await;
        let heard = capture::heard("Accepted connection", 1);
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("in time");
        listener.delete();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_waits_for_a_listener_that_has_ended() {
        let io = io();
        let mut named = params("0".to_owned());
        named.endpoint.host = "localhost".to_owned();
        let listener = Listener::create(named, &io).expect("no TLS");
        io.tasks().drain();
        let activated = tokio::task::spawn_blocking(move || listener.activate());
        let ended = tokio::time::timeout(Duration::from_secs(20), activated).await.expect("in time").expect("no panic");
        ended.expect_err("not open");
    }
}
