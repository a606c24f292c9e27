//! AMQP listeners and the connections that they accept.

use super::driver::{Driver, transport_failure};
use super::params::ListenerParams;
use super::registration::Registration;
use super::start::{Begun, StartError, begin};
use crate::clock;
use crate::net::{self, io_text};
use crate::runtime::{Io, signalled};
use crate::sockets::{Accepted, Sockets};
use crate::tls::{Consumer, ServerOptions, SessionInfo, TlsConfigError, TlsProfile, TlsServer};
use crate::transport::Transport;
use amqp_core::Instant;
use parking_lot::Mutex;
use router_engine::core::connection::{ConnHandle, ConnParams};
use router_engine::core::ids::ConnId;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::port::{AmqpPort, PortError, SaslParams, TlsInfo};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

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
    tls: Mutex<Option<TlsServer>>,
    deleted: watch::Sender<bool>,
    secured: Mutex<Secured>,
    sockets: Sockets,
}

/// The connections accepted with TLS.
#[derive(Debug)]
struct Secured {
    /// Credentials with a lower ordinal are no longer valid.
    oldest_valid: u64,
    /// With the ordinal of the credentials.
    connections: Vec<(ConnId, u64)>,
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
    /// Configures a listener; [`Self::activate`] opens its socket.
    ///
    /// # Errors
    /// When its TLS profile cannot be used.
    pub fn create(params: ListenerParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.endpoint.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        log!(LogModule::ConnMgr, Level::Info, "Configured  Listener: {}", params.endpoint.describe());
        let oldest_valid = params.endpoint.tls.as_ref().map_or(0, |profile| profile.oldest_valid_ordinal);
        let shared = Shared {
            params,
            io: io.clone(),
            tls: Mutex::new(tls),
            deleted: watch::Sender::new(false),
            secured: Mutex::new(Secured { oldest_valid, connections: Vec::new() }),
            sockets: Sockets::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the socket and accepts connections from now on. May block on name resolution.
    ///
    /// # Errors
    /// When no socket could be opened; this is also logged.
    pub fn activate(&self) -> Result<(), ListenError> {
        let endpoint = &self.shared.params.endpoint;
        let address = endpoint.address();
        let opened = {
            let _executor = self.shared.io.enter();
            net::listen_addresses(&endpoint.host, &endpoint.port, endpoint.family)
                .and_then(|found| self.shared.sockets.open(&found, net::MAX_BACKLOG))
        };
        opened.map_err(|error| {
            let error = ListenError { condition: "proton:io", description: io_text(&error, "listen on", &address) };
            log!(LogModule::Server, Level::Error, "Listener error on {address}: {error}");
            error
        })?;
        if net::port_number(&endpoint.port) == Some(0) {
            if let Some(bound) = self.bound().first() {
                log!(LogModule::Server, Level::Info, "Listening on {bound} ({})", endpoint.name);
            }
        } else {
            log!(LogModule::Server, Level::Info, "Listening on {address}");
        }
        self.shared.io.spawn(accept_all(Arc::clone(&self.shared)));
        Ok(())
    }

    /// The addresses that the listener is bound to.
    #[must_use]
    pub fn bound(&self) -> Vec<SocketAddr> {
        self.shared.sockets.bound()
    }

    /// Stops accepting; the port is free at once. Connections live on.
    pub fn delete(&self) {
        self.shared.sockets.retire();
        if !self.shared.deleted.send_replace(true) {
            let endpoint = &self.shared.params.endpoint;
            log!(LogModule::ConnMgr, Level::Info, "Deleted  Listener: {}", endpoint.describe());
        }
    }

    /// Uses new values of the TLS profile for new connections, and closes connections whose
    /// credentials are no longer valid.
    ///
    /// # Errors
    /// When the profile cannot be used; then nothing has changed.
    pub fn update_tls(&self, profile: &TlsProfile) -> Result<(), TlsConfigError> {
        let loaded = load(profile, &self.shared.params)?;
        *self.shared.tls.lock() = Some(loaded);
        let new = profile.oldest_valid_ordinal;
        let (previous, expired) = self.shared.secured.lock().expire(new);
        if new > previous {
            let name = &self.shared.params.endpoint.name;
            log!(
                LogModule::Server,
                Level::Debug,
                "Listeners {name} new oldest valid TLS ordinal: {new}, previous: {previous}"
            );
        }
        for (conn, _) in expired {
            log_expired(conn);
            self.shared.io.router().close_connection(conn, None, false);
        }
        Ok(())
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
    log!(LogModule::Server, Level::Debug, "[C{conn}] Closing due to expired TLS ordinal");
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

// === impl Shared ===

impl Shared {
    fn conn_params(&self, stream: &TcpStream, peer: SocketAddr) -> ConnParams {
        let endpoint = &self.params.endpoint;
        ConnParams {
            role: endpoint.role,
            initiator: false,
            host: peer.to_string(),
            local_socket: stream.local_addr().ok().map(|a| a.to_string()),
            origin_name: endpoint.name.clone(),
            origin_address: endpoint.address(),
            cost: endpoint.cost,
            link_capacity: endpoint.link_capacity,
            strip_in: endpoint.strip_in,
            strip_out: endpoint.strip_out,
            group_correlator: None,
            group_ordinal: None,
            tls_ordinal: self.tls.lock().as_ref().map(TlsServer::ordinal),
            access_id: self.params.access_id.clone(),
            open_properties: endpoint.open_properties.clone(),
            failover_list: self.params.failover_list.clone(),
            protocol: "amqp",
            container: String::new(),
        }
    }
}

async fn accept_all(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            accepted = poll_fn(|cx| shared.sockets.poll_accept(cx)) => match accepted {
                Ok(Accepted { stream, peer, .. }) => {
                    let task = serve(Arc::clone(&shared), stream, peer);
                    shared.io.spawn(task);
                }
                Err(error) => {
                    log!(LogModule::Server, Level::Error, "Accept failed on {}: {error}", shared.params.endpoint.address());
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = signalled(&shared.deleted) => break,
            () = shared.io.stopped() => break,
        }
    }
    shared.sockets.retire();
    log!(LogModule::Server, Level::Debug, "Listener closed on {}", shared.params.endpoint.address());
}

/// The life of an accepted connection.
async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let conn = shared.conn_params(&stream, peer);
    let address = shared.params.endpoint.address();
    let registration = Registration::new(&shared.io, conn.clone());
    let id = registration.id();
    log!(LogModule::Server, Level::Info, "[C{id}] Accepted connection to {address} from {peer}");
    let ended = tokio::select! {
        ended = run(&shared, stream, conn, registration) => ended,
        () = shared.io.stopped() => {
            log!(LogModule::Server, Level::Info, "[C{id}] Closing connection on shutdown");
            return;
        }
    };
    shared.secured.lock().connections.retain(|&(conn, _)| conn != id);
    if let Some(failure) = ended {
        if failure.condition == "amqp:not-allowed" && failure.description == HANDSHAKE_TIMEOUT {
            log!(LogModule::Error, Level::Error, "Run Time: {HANDSHAKE_TIMEOUT}");
        }
        let text = format!("{} {}", failure.condition, failure.description);
        let text = text.trim_end();
        log!(LogModule::Server, Level::Error, "[C{id}] Connection from {peer} (to {address}) failed: {text}");
    }
}

/// Runs an accepted connection to its end; returns what to report.
async fn run(shared: &Shared, stream: TcpStream, conn: ConnParams, registration: Registration) -> Option<PortError> {
    let id = registration.id();
    let started = clock::now();
    let mut transport = Transport::plain(stream);
    let params = &shared.params;
    let require_encryption = params.require_encryption || params.require_ssl;
    let begin = begin(&mut transport, require_encryption, || shared.tls.lock().clone());
    let begun = match params.handshake_timeout {
        None => begin.await,
        Some(limit) => match tokio::time::timeout(limit, begin).await {
            Ok(begun) => begun,
            Err(_) => {
                let condition = "amqp:not-allowed".to_owned();
                return Some(PortError { condition, description: HANDSHAKE_TIMEOUT.to_owned() });
            }
        },
    };
    let Begun { first, tls } = match begun {
        Ok(begun) => begun,
        Err(error) => return start_failure(&error, &conn.host),
    };
    if let Some(tls) = &tls
        && !shared.secured.lock().add(id, tls.ordinal())
    {
        log_expired(id);
        return None;
    }
    let handle = registration.into_handle();
    let mut port = make_port(shared, &transport, tls.as_ref(), conn.clone(), handle, started);
    if !first.is_empty() {
        port.receive(first);
    }
    let mut driver = Driver::new(transport, port, id).with_authenticator(shared.params.authenticator.clone());
    let ending = (&mut driver).await;
    let failure = ending.failure(&conn.host);
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
    use crate::amqp::EndpointParams;
    use router_engine::core::connection::ConnectionRole;
    use router_engine::core::{Mode, RouterConfig};

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
            link_capacity: 250,
            strip_in: false,
            strip_out: false,
            open_properties: amqp_core::value::Map::new(),
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
            access_id: None,
            authenticator: None,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_port_of_a_deleted_listener_is_free_at_once() {
        let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
        let router = Arc::new(router_engine::Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()));
        let io = Io::new(router, tokio::runtime::Handle::current(), 2);
        let first = Listener::create(params("0".to_owned()), &io).expect("no TLS");
        first.activate().expect("listens");
        let bound = first.bound()[0];
        first.delete();
        let second = Listener::create(params(bound.port().to_string()), &io).expect("no TLS");
        second.activate().expect("the port is free");
        TcpStream::connect(bound).await.expect("the second one listens");
    }
}
