//! AMQP connectors: connect, run, retry (spec `amqp-endpoint.md` section 3, `inter-router-protocol.md` 2.5).
//!
//! A connector of role inter-router is one control connection and several data connections; each is
//! a task with a life of its own, all share the group correlator.

use super::driver::{Driver, Ending, LAST_WORDS, transport_failure};
use super::failover::{FailoverList, Target};
use super::listener::tls_info;
use super::params::{Authenticator, ConnectorParams, DataConnections};
use super::records::{LinkRecord, OpenLink};
use super::registration::Registration;
use crate::clock;
use crate::net::{self, io_text};
use crate::random;
use crate::runtime::{Io, signalled};
use crate::sasl::Login;
use crate::start::START_LIMIT;
use crate::tasks::{Owner, contained};
use crate::tls::{ClientOptions, Consumer, TlsClient, TlsConfigError, TlsProfile, TlsUpdate};
use crate::transport::Transport;
use parking_lot::Mutex;
use pause::Pauses;
use router_engine::core::connection::{ConnFacts, ConnParams, ConnectionRole};
use router_engine::core::ids::ConnId;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::port::{AmqpPort, PortError, PortParams, SaslParams};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

mod pause;

#[cfg(test)]
mod tests;

/// Where a connector is in its life; the attribute `connectionStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorState {
    /// `INITIALIZING`
    Initializing,
    /// `CONNECTING`
    Connecting,
    /// `SUCCESS`
    Success,
    /// `FAILED`
    Failed,
    /// `CLOSING`
    Closing,
}

/// What management shows of a connector.
#[derive(Debug, Clone)]
pub struct ConnectorStatus {
    /// `connectionStatus`
    pub state: ConnectorState,
    /// `connectionMsg`
    pub message: String,
    /// `failoverUrls`
    pub failover_urls: String,
}

/// An AMQP connector. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug, Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    params: ConnectorParams,
    io: Io,
    owner: Arc<Owner>,
    correlator: Option<String>,
    state: Mutex<State>,
    /// Of a connector to a router.
    record: Option<Arc<LinkRecord>>,
}

#[derive(Debug)]
struct State {
    tls: Option<TlsClient>,
    /// The credentials' ordinal of the newest set of connections.
    ordinal: u64,
    /// Connections with credentials of a lower ordinal were closed.
    oldest_valid: u64,
    status: ConnectorState,
    message: String,
    failover: FailoverList,
    slots: Vec<Arc<ConnectorSlot>>,
}

/// One connection of a connector, or the will to have it.
#[derive(Debug)]
struct ConnectorSlot {
    role: ConnectionRole,
    /// For the next attempt.
    tls: Mutex<Option<TlsClient>>,
    ordinal: u64,
    /// The connection that is up or under way.
    conn: Mutex<Option<ConnId>>,
    /// Newer credentials took over: do not connect again.
    retired: AtomicBool,
    ended: watch::Sender<bool>,
    /// The control connection is open, and recorded.
    recorded: Mutex<Option<OpenLink>>,
}

/// How an attempt went.
struct Attempt {
    opened: bool,
    failure: Option<PortError>,
}

// === impl ConnectorState ===

impl ConnectorState {
    /// The attribute's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Connecting => "CONNECTING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Closing => "CLOSING",
        }
    }
}

// === impl Connector ===

impl Connector {
    /// Configures a connector; [`Self::activate`] starts it.
    ///
    /// # Errors
    /// When its TLS profile cannot be used.
    pub fn create(params: ConnectorParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.endpoint.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        log!(LogModule::ConnMgr, Level::Info, "Configured  Connector: {}", params.endpoint.describe(""));
        let correlator = params.endpoint.role.has_control_links().then(random_name);
        let ordinal = tls.as_ref().map_or(0, TlsClient::ordinal);
        let state = State {
            tls,
            ordinal,
            oldest_valid: params.endpoint.tls.as_ref().map_or(0, |profile| profile.oldest_valid_ordinal),
            status: ConnectorState::Initializing,
            message: String::new(),
            failover: FailoverList::new(&params.endpoint.host, &params.endpoint.port),
            slots: Vec::new(),
        };
        let owner = io.carrier(format!("connector {}", params.endpoint.name));
        let record = LinkRecord::begin(io.router(), &params);
        let shared = Shared { params, io: io.clone(), owner, correlator, state: Mutex::new(state), record };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Starts to connect.
    pub fn activate(&self) {
        if self.shared.owner.activate() {
            self.shared.state.lock().status = ConnectorState::Connecting;
            self.start_set();
        }
    }

    /// Connects no more: what is not open yet is given up. Open connections live on.
    pub fn drain(&self) {
        self.shared.owner.drain();
    }

    /// Closes the connections in good order and stops.
    pub fn delete(&self) {
        self.drain();
        log!(LogModule::ConnMgr, Level::Info, "Deleted  Connector: {}", self.shared.params.endpoint.describe(""));
        let slots = {
            let mut state = self.shared.state.lock();
            state.status = ConnectorState::Closing;
            std::mem::take(&mut state.slots)
        };
        for slot in slots {
            slot.close(&self.shared.io, false);
        }
    }

    /// What management shows.
    #[must_use]
    pub fn status(&self) -> ConnectorStatus {
        let state = self.shared.state.lock();
        ConnectorStatus { state: state.status, message: state.message.clone(), failover_urls: state.failover.urls() }
    }

    /// Loads new values of the TLS profile. Applied, they hold for the handshakes to come. A newer ordinal of a router
    /// connection makes a new set of connections beside the old one; older ones than the oldest valid are closed.
    /// Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
        let tls = load(profile, &self.shared.params)?;
        let (connector, ordinal, oldest) = (self.clone(), profile.ordinal, profile.oldest_valid_ordinal);
        Ok(TlsUpdate::new(move || connector.use_tls(&tls, ordinal, oldest)))
    }

    fn use_tls(&self, tls: &TlsClient, ordinal: u64, oldest: u64) {
        let shared = &self.shared;
        let rotates = shared.params.endpoint.role.joins_network();
        let name = &shared.params.endpoint.name;
        let (expired, newer) = {
            let mut state = shared.state.lock();
            for slot in state.slots.iter().filter(|slot| !slot.retired()) {
                *slot.tls.lock() = Some(tls.clone());
            }
            state.tls = Some(tls.clone());
            if !rotates {
                return;
            }
            let previous = std::mem::replace(&mut state.oldest_valid, oldest);
            if oldest > previous {
                log!(
                    LogModule::Server,
                    Level::Debug,
                    "Connector {name} new oldest valid TLS ordinal: {oldest}, previous: {previous}"
                );
            }
            let (keep, expired): (Vec<_>, Vec<_>) = state.slots.drain(..).partition(|slot| slot.ordinal >= oldest);
            state.slots = keep;
            let newer = ordinal > state.ordinal;
            if newer {
                let previous = state.ordinal;
                log!(
                    LogModule::Server,
                    Level::Debug,
                    "Connector {name} new TLS ordinal: {ordinal}, previous: {previous}"
                );
                state.ordinal = ordinal;
                for slot in &state.slots {
                    slot.retire();
                }
            }
            (expired, newer)
        };
        for slot in expired {
            slot.close(&shared.io, true);
        }
        if newer {
            self.start_set();
        }
    }

    /// Starts a control connection and its data connections.
    fn start_set(&self) {
        let shared = &self.shared;
        let role = shared.params.endpoint.role;
        let data = if role.has_control_links() { self.data_connections() } else { 0 };
        let mut state = shared.state.lock();
        for number in 0..=data {
            let slot = Arc::new(ConnectorSlot {
                role: if number == 0 { role } else { ConnectionRole::InterRouterData },
                tls: Mutex::new(state.tls.clone()),
                ordinal: state.ordinal,
                conn: Mutex::new(None),
                retired: AtomicBool::new(false),
                ended: watch::Sender::new(false),
                recorded: Mutex::new(None),
            });
            if shared.owner.spawn("connector", keep_connected(Arc::clone(shared), Arc::clone(&slot))) {
                state.slots.push(slot);
            }
        }
    }

    fn data_connections(&self) -> u32 {
        match self.shared.params.data_connections {
            DataConnections::Count(count) => count,
            DataConnections::Auto => u32::try_from(self.shared.io.workers().div_ceil(2)).unwrap_or(1),
        }
    }
}

fn load(profile: &TlsProfile, params: &ConnectorParams) -> Result<TlsClient, TlsConfigError> {
    let options = ClientOptions { verify_hostname: params.verify_hostname };
    TlsClient::load(profile, Consumer::Amqp, &options).inspect_err(|error| {
        log!(LogModule::ConnMgr, Level::Error, "Unable to create connector: Configuration: {error}");
    })
}

fn random_name() -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_";
    random::octets::<15>().iter().map(|o| char::from(LETTERS[usize::from(o % 64)])).collect()
}

// === impl ConnectorSlot ===

impl ConnectorSlot {
    fn retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Whether the connection stands for the connector in status, message and failover: data connections never do,
    /// and a retired connection has a successor that does.
    fn represents(&self) -> bool {
        !self.role.is_data_only() && !self.retired()
    }

    /// No new connection after the present one; gives up at once when there is none.
    fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        if self.conn.lock().is_none() {
            self.ended.send_replace(true);
        }
    }

    fn close(&self, io: &Io, expired: bool) {
        self.retired.store(true, Ordering::Release);
        self.ended.send_replace(true);
        if let Some(conn) = *self.conn.lock() {
            if expired {
                log!(LogModule::Server, Level::Debug, conn = conn, "Closing due to expired TLS ordinal");
            }
            io.router().close_connection(conn, None, false);
        }
    }
}

/// The life of one connection of a connector.
async fn keep_connected(shared: Arc<Shared>, slot: Arc<ConnectorSlot>) {
    let mut last_failure = String::new();
    let mut pauses = Pauses::new(slot.role.is_router());
    loop {
        let begun = clock::now();
        let target = {
            let mut state = shared.state.lock();
            if slot.represents() && state.status != ConnectorState::Closing {
                state.status = ConnectorState::Connecting;
            }
            state.failover.current().clone()
        };
        let attempt = tokio::select! {
            // What is there to be sent when it is told to stop still goes out.
            biased;
            attempt = contained(attempt(&shared, &slot, &target, &mut last_failure)) => attempt,
            () = shared.owner.stopped() => break,
        };
        let attempt = attempt.unwrap_or_else(|| crashed(&slot));
        *slot.conn.lock() = None;
        let pause = {
            let mut state = shared.state.lock();
            if slot.represents() {
                state.failover.on_failure();
                if let Some(failure) = &attempt.failure {
                    let text = format!("{} {}", failure.condition, failure.description);
                    state.message =
                        format!("Connection to {}:{} failed: {}", target.host, target.port, text.trim_end());
                    // A connector that tries again and again shows that it connects, not that it failed.
                    state.status = if attempt.opened { ConnectorState::Failed } else { ConnectorState::Connecting };
                }
            }
            pauses.after(attempt.opened, clock::now().since(begun), state.failover.has_alternatives())
        };
        if slot.retired() {
            break;
        }
        let stop = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = shared.unwanted(&slot) => true,
        };
        if stop {
            break;
        }
    }
    shared.state.lock().slots.retain(|s| !Arc::ptr_eq(s, &slot));
}

/// What a connection came to whose task panicked.
fn crashed(slot: &ConnectorSlot) -> Attempt {
    if let Some(id) = *slot.conn.lock() {
        log!(LogModule::Error, Level::Error, conn = id, "Internal error: the connection is lost and will be made anew");
    }
    Attempt { opened: false, failure: Some(failure("amqp:internal-error", "connection lost")) }
}

/// Connects once and runs the connection to its end.
async fn attempt(
    shared: &Arc<Shared>,
    slot: &Arc<ConnectorSlot>,
    target: &Target,
    last_failure: &mut String,
) -> Attempt {
    let address = format!("{}:{}", target.host, target.port);
    let tls = slot.tls.lock().clone();
    let conn = shared.conn_params(slot, tls.as_ref(), &address);
    let registration = Registration::new(&shared.io, conn.clone());
    let id = registration.id();
    *slot.conn.lock() = Some(id);
    let via = if shared.params.proxy.is_some() { " via proxy" } else { "" };
    log!(LogModule::Server, Level::Debug, conn = id, "Connecting{via} to {address}");
    let attempt = match establish(shared, slot, tls.as_ref(), target, &address).await {
        Ok(transport) => run(shared, slot, tls.as_ref(), transport, conn, registration, target).await,
        Err(failure) => Attempt { opened: false, failure: Some(failure) },
    };
    if attempt.opened {
        // Only attempts that follow each other fail for the same reason.
        last_failure.clear();
    }
    // A connection that was ended by request did not fail.
    let by_request = *slot.ended.borrow() || (!attempt.opened && shared.owner.is_draining());
    drop(slot.recorded.lock().take());
    if let Some(record) = shared.record.as_ref().filter(|_| !by_request && !slot.role.is_data_only()) {
        record.failed(attempt.failure.as_ref());
    }
    if let Some(failure) = attempt.failure.as_ref().filter(|_| !by_request) {
        let text = format!("{} {}", failure.condition, failure.description);
        let text = format!("Connection to {address} failed: {}", text.trim_end());
        if text != *last_failure {
            log!(LogModule::Server, Level::Error, conn = id, "{text}");
            *last_failure = text;
        }
    }
    attempt
}

/// A connected socket: to the target, or to the proxy in front of it.
async fn connect(shared: &Shared, target: &Target, address: &str) -> Result<TcpStream, PortError> {
    let endpoint = &shared.params.endpoint;
    if let Some(proxy) = &shared.params.proxy {
        let connected = proxy.connect(target, endpoint.family, patience(endpoint.idle_timeout)).await;
        return connected.map_err(|text| failure("proton:io", &text));
    }
    let connect = async {
        let found = net::connect_addresses(&target.host, &target.port, endpoint.family).await?;
        net::connect(&found).await
    };
    connect.await.map_err(|error| failure("proton:io", &io_text(&error, "disconnected", address)))
}

/// A connected socket, with TLS if configured.
async fn establish(
    shared: &Shared,
    slot: &ConnectorSlot,
    tls: Option<&TlsClient>,
    target: &Target,
    address: &str,
) -> Result<Transport<TcpStream>, PortError> {
    let stream = tokio::select! {
        connected = connect(shared, target, address) => connected?,
        () = shared.unwanted(slot) => {
            let interrupted = std::io::ErrorKind::Interrupted.into();
            return Err(failure("proton:io", &io_text(&interrupted, "disconnected", address)));
        }
    };
    shared.params.endpoint.prepare(&stream);
    let Some(tls) = tls else { return Ok(Transport::plain(stream)) };
    let session = tls.session(&target.host, None).map_err(|e| transport_failure(&e.into(), address))?;
    let mut transport = Transport::tls(stream, session);
    tokio::select! {
        done = poll_fn(|cx| transport.poll_handshake(cx)) => done.map_err(|e| transport_failure(&e, address))?,
        () = tokio::time::sleep(patience(shared.params.endpoint.idle_timeout)) => {
            return Err(failure("amqp:resource-limit-exceeded", "local-idle-timeout expired"));
        }
        () = shared.unwanted(slot) => return Err(failure("proton:io", "connection aborted")),
    }
    Ok(transport)
}

/// The time that a proxy may take for its answer, and a peer for its TLS handshake; behind it the port watches the peer.
fn patience(idle_timeout: Duration) -> Duration {
    if idle_timeout.is_zero() { START_LIMIT } else { idle_timeout }
}

fn failure(condition: &str, description: &str) -> PortError {
    PortError { condition: condition.to_owned(), description: description.to_owned() }
}

async fn run(
    shared: &Arc<Shared>,
    slot: &Arc<ConnectorSlot>,
    tls: Option<&TlsClient>,
    transport: Transport<TcpStream>,
    conn: ConnParams,
    registration: Registration,
    target: &Target,
) -> Attempt {
    let id = registration.id();
    let params = &shared.params;
    let address = conn.facts.host.clone();
    let secured = transport.info().zip(tls);
    let sasl = SaslParams::Client {
        mechanisms: params.mechanisms.clone(),
        username: params.sasl_username.clone(),
        password: params.sasl_password.clone(),
        external: secured.is_some_and(|(_, tls)| tls.has_certificate()),
    };
    let mut port_params = params.port_params(conn, sasl, target);
    port_params.meter = shared.record.as_ref().map(|record| record.meter());
    let mut port = AmqpPort::new(port_params, registration.into_handle(), Arc::clone(shared.io.router()), clock::now());
    let tls = secured.map(|(info, tls)| {
        let user = info.peer_certificate.as_ref().and_then(|c| tls.user(c));
        tls_info(info, user)
    });
    let encrypted = tls.as_ref().map_or_else(|| "no".to_owned(), |info| info.protocol.clone());
    if let Some(info) = tls {
        port.set_tls(info);
    }
    let opened = Arc::new(AtomicBool::new(false));
    let on_opened = {
        let (shared, slot, opened) = (Arc::clone(shared), Arc::clone(slot), Arc::clone(&opened));
        let address = address.clone();
        Box::new(move |port: &AmqpPort| {
            opened.store(true, Ordering::Release);
            shared.on_opened(&slot, port, id, &address, &encrypted);
        })
    };
    let mut driver = Driver::new(transport, port, id).with_authenticator(params.login()).with_on_opened(on_opened);
    if *slot.ended.borrow() {
        shared.io.router().close_connection(id, None, false);
    }
    let ending = tokio::select! {
        biased;
        ending = &mut driver => ending,
        () = shared.owner.draining() => {
            if opened.load(Ordering::Acquire) {
                (&mut driver).await
            } else {
                // It is given up, as far as possible in order, but a peer that has not opened may not answer either.
                shared.io.router().close_connection(id, None, false);
                timeout(LAST_WORDS, &mut driver).await.unwrap_or(Ending::Closed)
            }
        }
    };
    let failure = ending.failure(&address);
    if ending.lingers() {
        driver.linger().await;
    }
    Attempt { opened: opened.load(Ordering::Acquire), failure }
}

// === impl ConnectorParams ===

impl ConnectorParams {
    /// What the port is told: its open names the host that was dialled, whichever the other connections of the connector
    /// dial meanwhile.
    fn port_params(&self, conn: ConnParams, sasl: SaslParams, target: &Target) -> PortParams {
        let mut params = self.endpoint.port_params(conn, sasl);
        params.open.hostname = Some(target.host.clone());
        params
    }

    /// The user to log in as.
    fn login(&self) -> Option<Arc<dyn Authenticator>> {
        let (username, password) = self.sasl_username.clone().zip(self.sasl_password.clone())?;
        Some(Arc::new(Login { username, password }))
    }
}

// === impl Shared ===

impl Shared {
    /// Ready when a connection that is not open yet need not come to be.
    async fn unwanted(&self, slot: &ConnectorSlot) {
        tokio::select! {
            () = signalled(&slot.ended) => {}
            () = self.owner.draining() => {}
        }
    }

    fn conn_params(&self, slot: &ConnectorSlot, tls: Option<&TlsClient>, address: &str) -> ConnParams {
        let facts =
            ConnFacts { host: address.to_owned(), local_socket: None, tls_ordinal: tls.map(TlsClient::ordinal) };
        let mut params = ConnParams { initiator: true, ..self.params.endpoint.conn_params(slot.role, facts) };
        params.trunk.correlator.clone_from(&self.correlator);
        params.trunk.ordinal = tls.map(|_| slot.ordinal);
        params
    }

    fn on_opened(&self, slot: &ConnectorSlot, port: &AmqpPort, id: ConnId, address: &str, encrypted: &str) {
        if let Some(record) = self.record.as_ref().filter(|_| !slot.role.is_data_only()) {
            let ordinal = self.params.endpoint.tls.as_ref().map(|_| slot.ordinal);
            *slot.recorded.lock() = Some(record.opened(port, ordinal));
        }
        let mut state = self.state.lock();
        if !slot.represents() {
            return;
        }
        if let Some(open) = port.remote_open() {
            state.failover.on_open(open);
        }
        if state.status == ConnectorState::Closing {
            return;
        }
        state.status = ConnectorState::Success;
        let user = self.params.sasl_username.as_deref().unwrap_or("(null)");
        let container = port.remote_container().unwrap_or_default();
        let mechanism = port.authentication().mechanism.as_deref().unwrap_or("no").to_owned();
        state.message = format!(
            "[C{id}] Connection Opened: dir=out host={address} encrypted={encrypted} auth={mechanism} user={user} container_id={container}"
        );
    }
}
