//! tcpListener: a socket whose clients get the servers of its address ([`crate::service_socket`]).

use super::addresses::{AddressEntry, Chosen, Strategy};
use super::ending::hang_up;
use super::flow::Flow;
use super::idle::IdleLimits;
use super::introduction::introduce;
use super::limits::ServiceLimits;
use super::record::{self, FlowRecord};
use super::report;
use super::service::{Label, Member, Service, told_to_close};
use super::setup;
use super::socket::{Socket, TLS_FAILED, log_tls_failure, tls_failure};
use super::tap::Tap;
use crate::clock;
use crate::net::{Closing, Inherited, KeepAlive};
use crate::observe::Mode;
use crate::runtime::Io;
use crate::service_socket::{Place, ServiceSocket};
use crate::sockets::Accepted;
use crate::tls::{AllowedClients, Consumer, ServerOptions, TlsConfigError, TlsProfile, TlsServer, TlsUpdate};
use crate::transport::{Transport, TransportError};
use parking_lot::Mutex;
use router_engine::core::ids::ConnId;
use router_engine::exchange::head::{ClientEnds, RequestHead};
use router_engine::exchange::{Exchange, Failure, Role};
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::local::Connection;
use router_engine::{Mailbox, Router};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Configuration of a tcpListener.
#[derive(Debug, Clone, Default)]
pub struct TcpListenerParams {
    /// The entity's name.
    pub name: String,
    /// The service address, with the tenant prefix; empty with a strategy for several addresses.
    pub address: String,
    /// How to choose among several addresses.
    pub strategy: Strategy,
    /// Host to listen on; empty is every local address.
    pub host: String,
    /// Port number or service name.
    pub port: String,
    /// Listen backlog; 0 is the system's limit.
    pub backlog: u32,
    /// Clients use TLS by this profile.
    pub tls: Option<TlsProfile>,
    /// Clients must present a certificate.
    pub authenticate_peer: bool,
    /// What flows are watched for, if for anything.
    pub observer: Option<Mode>,
    /// The only clients that may use the service.
    pub allowed_clients: Option<AllowedClients>,
    /// For how long flows may carry nothing.
    pub idle: IdleLimits,
    /// How much it takes.
    pub limits: ServiceLimits,
    /// Clients are probed.
    pub keep_alive: Option<KeepAlive>,
    /// Clients come by way of a proxy, which begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// How long a client may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);

/// A tcpListener. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug)]
pub struct TcpListener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    params: TcpListenerParams,
    router: Arc<Router>,
    service: Arc<Service>,
    socket: ServiceSocket,
    tls: Mutex<Option<TlsServer>>,
    /// What new flows are watched for.
    observer: Mutex<Option<Mode>>,
}

// === impl TcpListener ===

impl TcpListener {
    /// Configures a tcpListener; [`Self::activate`] starts it. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the TLS profile cannot be used.
    pub fn create(params: TcpListenerParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        let label = Label { role: Role::Requester, name: params.name.clone(), address: params.address.clone() };
        let owner = io.service(format!("tcpListener {}", params.name));
        let service = io.services().begin(label, owner, None, params.idle, params.limits);
        let place = Place {
            name: params.name.clone(),
            host: params.host.clone(),
            port: params.port.clone(),
            backlog: params.backlog,
            module: LogModule::TcpAdaptor,
        };
        let inherited = Inherited { closing: Closing::Reset, keep_alive: params.keep_alive };
        let shared = Shared {
            router: Arc::clone(io.router()),
            socket: ServiceSocket::new(place, io.router(), Arc::clone(&service), params.strategy, inherited),
            service,
            tls: Mutex::new(tls),
            observer: Mutex::new(params.observer),
            params,
        };
        router_engine::log!(LogModule::TcpAdaptor, Level::Info, "Configured TcpListener for {}", shared.describe());
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins to watch the address, and listens while it can be reached.
    pub fn activate(&self) {
        let shared = &self.shared;
        if shared.service.activate() {
            if shared.params.strategy == Strategy::None {
                shared.add_address(&shared.params.name, &shared.params.address, 0);
            }
            let running = Arc::clone(shared);
            let run = async move { running.socket.run(|accepted| accept(&running, accepted)).await };
            if !shared.service.owner().spawn("listener", run) {
                shared.socket.withdraw();
            }
        }
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

    /// Whether the socket listens, be it for a consumer that may come back, and the text of the last failure to do so.
    #[must_use]
    pub fn status(&self) -> (bool, String) {
        self.shared.socket.status()
    }

    /// The addresses, by decreasing value.
    #[must_use]
    pub fn addresses(&self) -> Vec<AddressEntry> {
        self.shared.socket.addresses().lock().entries().to_vec()
    }

    /// Adds a listenerAddress.
    pub fn add_address(&self, name: &str, address: &str, value: i64) {
        self.shared.add_address(name, address, value);
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Info,
            "Configured new address for multi-address tcpListener {address} {}",
            self.shared.params.name
        );
    }

    /// Removes a listenerAddress; connections that use it live on. False when there is none of that name.
    pub fn remove_address(&self, name: &str) -> bool {
        self.shared.socket.remove_address(name)
    }

    /// Changes what flows are watched for, from the next one on.
    pub fn set_observer(&self, observer: Option<Mode>) {
        *self.shared.observer.lock() = observer;
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

    /// Stops listening; the port is free at once. Flows live on.
    pub fn drain(&self) {
        self.shared.service.close(false);
        self.shared.socket.withdraw();
    }

    /// [`Self::drain`], for good; with `drop_connections` cuts what was accepted.
    pub fn delete(&self, drop_connections: bool) {
        self.drain();
        self.shared.service.close(drop_connections);
        router_engine::log!(LogModule::TcpAdaptor, Level::Info, "Deleted TcpListener for {}", self.shared.describe());
    }
}

fn load(profile: &TlsProfile, params: &TcpListenerParams) -> Result<TlsServer, TlsConfigError> {
    // In order of preference (spec 11.3).
    let alpn = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let options = ServerOptions { authenticate_peer: params.authenticate_peer, alpn };
    TlsServer::load(profile, Consumer::Tcp, &options).inspect_err(|error| {
        let name = &params.name;
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Error,
            "tcpListener {name} TLS configuration failed: Configuration: {error}"
        );
    })
}

// === impl Shared ===

impl Shared {
    fn describe(&self) -> String {
        let address = match self.params.strategy {
            Strategy::None => &self.params.address,
            _ => "multiple addresses",
        };
        format!("{address}, {}", self.socket.host_port())
    }

    fn add_address(&self, name: &str, address: &str, value: i64) {
        let record = record::listener(&self.router, &self.params, address);
        self.socket.add_address(name, address, value, record);
    }
}

/// Begins a flow for a client (spec `tcp-adaptor.md` 7.1). A client that gets none is reset, as the socket is from the
/// start.
fn accept(shared: &Arc<Shared>, Accepted { stream, peer, bound }: Accepted) {
    let TcpListenerParams { name, host, port, .. } = &shared.params;
    report::incoming(name, host, port);
    if BUDGET.refuses() {
        return;
    }
    let mailbox = Arc::default();
    let Some(mut member) = shared.service.join(&mailbox) else { return report::denied(name, host, port) };
    // A socket that is bound to one address accepts on that address only.
    let local = if bound.ip().is_unspecified() { stream.local_addr().ok() } else { Some(bound) };
    let random = u64::from(peer.port()).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ clock::now().as_micros();
    let chosen = shared.socket.choose(random >> 3);
    let Some(Chosen { address, record }) = chosen else { return report::denied(name, host, port) };
    member.record = FlowRecord::client(&shared.router, record, peer);
    let ends = local.map(|server| ClientEnds { client: peer, server });
    let local = local.map(|address| address.to_string());
    let client = Client { address, host: peer.to_string(), local, ends, mailbox, member };
    let tls = shared.tls.lock().clone();
    if tls.is_none() && !shared.params.proxy_protocol {
        begin(shared, client, Transport::plain(stream));
    } else {
        let seat = client.member.seat();
        shared.service.owner().run(seat, greet(Arc::clone(shared), tls, stream, client));
    }
}

/// A client that was accepted.
pub(super) struct Client {
    /// The service address chosen for it.
    address: String,
    pub(super) host: String,
    local: Option<String>,
    /// The ends of its connection, which may lead to a proxy.
    ends: Option<ClientEnds>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) member: Member,
}

impl Client {
    /// A proxy has said whose connection it is.
    pub(super) fn introduce(&mut self, ends: ClientEnds) {
        self.member.record.source(ends.client);
        self.host = ends.client.to_string();
        self.ends = Some(ends);
    }
}

/// Begins the flow of a client that was accepted, and has said what comes first.
fn begin(shared: &Arc<Shared>, client: Client, transport: Transport<TcpStream>) {
    if let Some(flow) = set_up(shared, client, transport) {
        shared.service.owner().run(flow.member.seat(), flow.run());
    }
}

/// Takes what comes before a flow: a proxy's header, and the handshake of TLS.
async fn greet(shared: Arc<Shared>, tls: Option<TlsServer>, mut stream: TcpStream, mut client: Client) {
    if shared.params.proxy_protocol && !introduce(&shared.params.name, &mut stream, &mut client).await {
        return;
    }
    match tls {
        None => begin(&shared, client, Transport::plain(stream)),
        Some(tls) => secure(shared, tls, stream, client).await,
    }
}

/// Does the TLS handshake before the mesh learns of the client (spec 11.4).
async fn secure(shared: Arc<Shared>, tls: TlsServer, stream: TcpStream, mut client: Client) {
    let session = match tls.session(&[]) {
        Ok(session) => session,
        Err(error) => return log_failed_handshake(&shared, client, &error.into()),
    };
    let mut transport = Transport::tls(stream, session);
    let mut others = Vec::new();
    let done = tokio::select! {
        done = std::future::poll_fn(|cx| transport.poll_handshake(cx)) => Handshake::Done(done),
        () = told_to_close(&client.mailbox, &mut others) => Handshake::Closed,
        () = tokio::time::sleep(HANDSHAKE_LIMIT) => Handshake::TimedOut,
    };
    match done {
        Handshake::Done(Ok(())) => match stranger(&shared.params.allowed_clients, &transport) {
            None => begin(&shared, client, transport),
            Some(name) => {
                hang_up(transport.socket());
                shared.service.count_stranger();
                client.member.record.fail(TLS_FAILED, "the client may not use the service");
                let id = number(&shared, client);
                let text = "may not use the service: it is not among allowedClients";
                router_engine::log!(LogModule::TcpAdaptor, Level::Warning, conn = id, "{name} {text}");
            }
        },
        Handshake::Done(Err(error)) => {
            hang_up(transport.socket());
            log_failed_handshake(&shared, client, &error);
        }
        Handshake::Closed => client.member.record.blame(Some(Failure::Closed)),
        Handshake::TimedOut => {
            hang_up(transport.socket());
            let limit = HANDSHAKE_LIMIT.as_secs();
            client.member.record.fail(TLS_FAILED, &format!("no handshake within {limit} seconds"));
            let id = number(&shared, client);
            let text = "TLS connection failed: no handshake within";
            router_engine::log!(LogModule::TcpAdaptor, Level::Warning, conn = id, "{text} {limit} seconds");
        }
    }
}

/// What a client is called that may not use a service.
pub(crate) fn stranger(allowed: &Option<AllowedClients>, transport: &Transport<TcpStream>) -> Option<String> {
    let certificate = transport.info().and_then(|info| info.peer_certificate.as_ref());
    allowed.as_ref()?.check(certificate).err()
}

/// How a TLS handshake ended.
enum Handshake {
    Done(Result<(), TransportError>),
    /// The listener was deleted.
    Closed,
    TimedOut,
}

fn log_failed_handshake(shared: &Shared, mut client: Client, error: &TransportError) {
    client.member.record.fail(TLS_FAILED, &tls_failure(error));
    log_tls_failure(number(shared, client), error);
}

/// A number for a line in the log; there is nothing else to know of this client.
fn number(shared: &Shared, client: Client) -> ConnId {
    let identity = setup::flow(false, client.host, client.local);
    let connection = Connection::join(&shared.router, identity, Arc::default(), clock::now());
    let id = connection.id();
    connection.close(clock::now());
    id
}

/// Joins a client to the mesh and sends the head of its stream.
fn set_up(shared: &Arc<Shared>, client: Client, transport: Transport<TcpStream>) -> Option<Flow> {
    // The membership stays where it is until the flow takes it over: it ends after the connection and the transport.
    let identity = setup::flow(false, client.host, client.local);
    let connection = Connection::join(&shared.router, identity, client.mailbox, clock::now());
    let alpn = transport.info().and_then(|info| String::from_utf8(info.alpn.clone()?).ok());
    let record = client.member.record.identity();
    let head = RequestHead { to: client.address, alpn, record, ends: client.ends };
    let exchange = Exchange::requester(connection, head, setup::opened(), clock::now())?;
    let socket = Socket::new(transport, exchange.id(), Role::Requester);
    let mut flow = Flow::new(exchange, socket, client.member);
    flow.socket.tap = tap(shared, &flow);
    report::flow_opened(&flow);
    flow.submit();
    Some(flow)
}

/// What watches a client's flow.
fn tap(shared: &Shared, flow: &Flow) -> Tap {
    let Some(mode) = *shared.observer.lock() else {
        report::not_observed(flow.id());
        return Tap::none();
    };
    let recorded = shared.router.records().zip(flow.member.record.identity());
    recorded.map_or(Tap::none(), |(records, record)| Tap::new(mode, records, record, flow.id()))
}

#[cfg(test)]
mod tests {
    use super::super::report::capture;
    use super::super::tests::{FarEnd, listener, router};
    use super::*;
    use std::net::SocketAddr;

    #[tokio::test]
    async fn a_port_that_was_taken_is_tried_again() {
        capture::start();
        let router = router();
        let far = FarEnd::new(&router);
        let (listener, port) = listener(&router);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let shows = async |line: &str, times, up, message: &str| {
            let heard = capture::heard(line, times);
            tokio::time::timeout(Duration::from_secs(20), heard).await.expect("in time");
            assert_eq!(listener.status(), (up, message.to_owned()));
        };
        shows(": listening for client", 1, true, "").await;
        // Gone and back while somebody else has the port.
        far.leave();
        shows(": stopped listening", 1, false, "").await;
        let other = crate::net::listen_on(address, 16).expect("the port is free");
        let _far = FarEnd::new(&router);
        let taken = format!("Address already in use - listen on {address}");
        shows(&taken, 1, false, &taken).await;
        drop(other);
        shows(": listening for client", 2, true, "").await;
        TcpStream::connect(address).await.expect("listens");
    }

    #[tokio::test]
    async fn a_client_of_a_deleted_listener_is_denied_and_that_is_logged() {
        capture::start();
        let router = router();
        let (listener, port) = listener(&router);
        let shared = Arc::clone(&listener.shared);
        listener.delete(false);
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bound = server.local_addr().expect("bound");
        let _client = TcpStream::connect(bound).await.expect("connected");
        let (stream, peer) = server.accept().await.expect("accepted");
        accept(&shared, Accepted { stream, peer, bound });
        let expected = format!("denied new incoming client connection to 127.0.0.1:{port}: service not available");
        assert_eq!(capture::with("denied"), [format!("TCP_ADAPTOR (debug) Listener l: {expected}")]);
    }

    #[tokio::test]
    async fn a_client_that_is_being_set_up_is_closed_too() {
        let router = router();
        let far = FarEnd::new(&router);
        let (listener, _) = listener(&router);
        let shared = Arc::clone(&listener.shared);
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(server.local_addr().expect("bound")).await.expect("connected");
        let (stream, peer) = server.accept().await.expect("accepted");
        let mailbox = Arc::default();
        let member = shared.service.join(&mailbox).expect("open");
        let address = shared.params.address.clone();
        let accepted = Client { address, host: peer.to_string(), local: None, ends: None, mailbox, member };
        listener.delete(true);
        assert!(shared.service.join(&Arc::default()).is_none(), "nobody joins any more");
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("as the listener's");
        if let Some(flow) = set_up(&shared, accepted, Transport::plain(stream)) {
            tokio::time::timeout(Duration::from_secs(20), flow.run()).await.expect("over");
        }
        let mut client = client;
        super::super::tests::read_to_reset(&mut client).await;
        assert_eq!((shared.service.opened(), shared.service.closed()), (1, 1));
        far.alone().await;
    }
}
