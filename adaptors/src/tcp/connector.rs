//! tcpConnector: consumes client streams of a service address and opens a server socket for each
//! (spec `tcp-adaptor.md` 7.2).

use super::ending::arm;
use super::flow::Flow;
use super::idle::IdleLimits;
use super::limits::ServiceLimits;
use super::record::{self, FlowRecord};
use super::report;
use super::service::{Label, Member, Service, closed_or};
use super::setup;
use super::socket::{IO_FAILED, Socket, TLS_FAILED};
use crate::clock;
use crate::health::{self, Health, Probe, ProbeParams, Subject};
use crate::net::{self, KeepAlive};
use crate::proxy_protocol;
use crate::runtime::Io;
use crate::tasks::contained;
use crate::tls::secret::os_text;
use crate::tls::{ClientOptions, Consumer, Session, TlsClient, TlsConfigError, TlsError, TlsProfile, TlsUpdate};
use crate::transport::Transport;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::core::action::TransportFacts;
use router_engine::core::ids::ConnId;
use router_engine::exchange::head::{self, ClientEnds, Head, HeadError};
use router_engine::exchange::{Exchange, Origin, Request, Role, consume, on_data, takes_grants};
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::local::{Attach, Closer, Connection, Delivery, Endpoint, Event};
use router_engine::stream::{Pull, Reader};
use router_engine::vanflow::Identity;
use router_engine::{Action, Effect, LinkId, Mailbox, Router};
use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Octets of a head that may be read before it is complete.
const HEAD_PULL: usize = 64 * 1024;
/// How long looking a server up and connecting to it may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// How long the dispatcher takes no client streams after a panic, which may come again at once.
const PANIC_PAUSE: Duration = Duration::from_millis(100);

/// How the connection that takes a tcpConnector's client streams shows its host.
const DISPATCHER: &str = "egress-dispatch";

/// Configuration of a tcpConnector.
#[derive(Debug, Clone, Default)]
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
    /// The identity of the server's process, in records.
    pub process_id: Option<String>,
    /// For how long flows may carry nothing.
    pub idle: IdleLimits,
    /// How much it takes.
    pub limits: ServiceLimits,
    /// Servers are probed.
    pub keep_alive: Option<KeepAlive>,
    /// Servers are told of their clients in a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// What tells whether the server is well.
    pub health: health::Config,
}

/// A tcpConnector. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug)]
pub struct TcpConnector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    params: TcpConnectorParams,
    /// The number of the port, when it has one.
    port: Option<u16>,
    router: Arc<Router>,
    service: Arc<Service>,
    /// Closes the connection that takes client streams, while there is one.
    dispatcher: Mutex<Option<Closer>>,
    tls: Mutex<Option<TlsClient>>,
    /// How the server is, where somebody looks.
    health: Option<Arc<Health>>,
}

/// Takes the client streams of the service address.
struct Dispatcher {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    /// Of the streams that are at the dispatcher yet, nothing more comes when it goes: not even their end.
    presence: watch::Sender<()>,
}

/// A client stream that has left the dispatcher, and whose server socket is still to be opened.
struct Start {
    /// The stream's own; both end together.
    connection: Connection,
    /// Takes the server stream into the mesh.
    into: LinkId,
    request: Request,
    /// What the core told meanwhile.
    effects: Vec<Effect>,
    /// Ends after all else.
    member: Member,
}

/// A client stream that is being read, at the dispatcher yet.
struct ClientStream {
    delivery: Delivery,
    reader: Reader,
    mailbox: Arc<Mailbox>,
    /// What came and is still to be written.
    pending: VecDeque<Bytes>,
    /// Changes when the dispatcher goes.
    dispatcher: watch::Receiver<()>,
    /// Ends after all else.
    member: Member,
}

// === impl TcpConnector ===

impl TcpConnector {
    /// Configures a tcpConnector; [`Self::activate`] starts it. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the TLS profile cannot be used.
    pub fn create(params: TcpConnectorParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        router_engine::log!(
            LogModule::TcpAdaptor,
            Level::Info,
            "Configured TcpConnector for {}, {}:{}",
            params.address,
            params.host,
            params.port
        );
        let record = record::connector(io.router(), &params);
        let label = Label { role: Role::Responder, name: params.name.clone(), address: params.address.clone() };
        let owner = io.service(format!("tcpConnector {}", params.name));
        let service = io.services().begin(label, owner, record, params.idle, params.limits);
        let name = format!("tcpConnector {}: server {}:{}", params.name, params.host, params.port);
        let health = Health::new(params.health.params, Subject { module: LogModule::TcpAdaptor, name });
        if let Some(health) = &health {
            service.show_health(health);
        }
        let shared = Shared {
            port: net::port_number(&params.port),
            router: Arc::clone(io.router()),
            service,
            dispatcher: Mutex::default(),
            tls: Mutex::new(tls),
            health,
            params,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Attaches to the address and serves, unless checks have to tell first how the server is.
    pub fn activate(&self) {
        let shared = &self.shared;
        if !shared.service.activate() {
            return;
        }
        // What dispatches counts as a connection of the connector.
        shared.service.count_opened();
        let dispatcher = shared.is_available().then(|| Dispatcher::join(shared)).flatten();
        let owner = shared.service.owner();
        owner.spawn("dispatcher", run_dispatchers(Arc::clone(shared), dispatcher));
        if let Some(health) = &shared.health {
            let probed = Arc::clone(shared);
            let session = move |alpn: &[u8]| make_session(&probed, Some(alpn));
            owner.spawn("health", Arc::clone(health).run_probe(Arc::clone(owner), probe(shared), session));
        }
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

    /// Leaves the address. Flows live on.
    pub fn drain(&self) {
        self.shared.service.close(false);
        self.shared.leave();
    }

    /// [`Self::drain`], for good; with `drop_connections` cuts the server connections.
    pub fn delete(&self, drop_connections: bool) {
        self.drain();
        self.shared.service.close(drop_connections);
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

/// What the server is tried with.
fn probe(shared: &Shared) -> Probe {
    let TcpConnectorParams { host, health, tls, proxy_protocol, .. } = &shared.params;
    Probe::new(ProbeParams {
        host: host.clone(),
        port: shared.port,
        timeout: health.timeout,
        // The connection is the router's own.
        preface: if *proxy_protocol { proxy_protocol::compose(None).to_vec() } else { Vec::new() },
        path: health.path.clone(),
        is_tls: tls.is_some(),
    })
}

// === impl Shared ===

impl Shared {
    /// Whether the server gets client streams.
    fn is_available(&self) -> bool {
        self.health.as_ref().is_none_or(|health| health.is_available())
    }

    /// Ready when the server is to get client streams.
    async fn until_available(&self) {
        if let Some(health) = &self.health {
            health.until_available().await;
        }
    }

    /// Ready when the server is to get no client streams.
    async fn until_withdrawn(&self) {
        match &self.health {
            Some(health) => health.until_withdrawn().await,
            None => pending().await,
        }
    }

    /// Leaves the address, for now or for good.
    fn leave(&self) {
        let mut dispatcher = self.dispatcher.lock();
        self.service.set_up(false);
        if let Some(dispatcher) = dispatcher.take() {
            dispatcher.close(clock::now());
        }
    }
}

// === impl Dispatcher ===

/// Takes client streams, with a dispatcher after the other: each while the server is there. Ends when the tcpConnector is
/// drained.
async fn run_dispatchers(shared: Arc<Shared>, first: Option<Dispatcher>) {
    tokio::select! {
        () = keep_present(&shared, first) => {}
        () = shared.service.owner().draining() => {}
    }
}

async fn keep_present(shared: &Arc<Shared>, first: Option<Dispatcher>) {
    let mut present = first;
    loop {
        if let Some(mut dispatcher) = present.take() {
            tokio::select! {
                () = dispatcher.keep_dispatching() => {}
                () = shared.until_withdrawn() => shared.leave(),
            }
        }
        shared.until_available().await;
        let Some(dispatcher) = Dispatcher::join(shared) else { return };
        present = Some(dispatcher);
    }
}

impl Dispatcher {
    /// Attaches to the address. None when the tcpConnector is drained.
    fn join(shared: &Arc<Shared>) -> Option<Self> {
        // Whoever drains the connector finds this one, or is seen here.
        let mut place = shared.dispatcher.lock();
        if shared.service.owner().is_draining() {
            return None;
        }
        let mut endpoint = Endpoint::join(&shared.router, setup::dispatcher(DISPATCHER), setup::open(), clock::now());
        // An address that nobody may have is nothing to complain of: there will be no streams.
        let _ = endpoint.attach([Attach::receiver("tcp.connector.out", &shared.params.address)], clock::now());
        report::dispatcher_opened(endpoint.id(), DISPATCHER);
        *place = Some(endpoint.closer());
        shared.service.set_up(true);
        Some(Self { shared: Arc::clone(shared), endpoint, presence: watch::Sender::default() })
    }

    /// Dispatches. A panic costs the client stream that was being taken, and nothing else.
    async fn keep_dispatching(&mut self) {
        while contained(self.dispatch()).await.is_none() {
            self.shared.service.owner().log_panic("dispatcher");
            tokio::time::sleep(PANIC_PAUSE).await;
        }
    }

    /// Starts a flow for every client stream.
    async fn dispatch(&mut self) {
        loop {
            let event = std::future::poll_fn(|cx| self.endpoint.poll_event(cx)).await;
            if let Event::Delivery(client) = event {
                begin_serving(&self.shared, client, self.presence.subscribe());
            }
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        report::connection_closed(self.endpoint.id());
    }
}

/// Takes a client stream, and serves it unless that is over.
fn begin_serving(shared: &Arc<Shared>, mut delivery: Delivery, dispatcher: watch::Receiver<()>) {
    #[cfg(test)]
    report::capture::trip("dispatch");
    let mailbox = Arc::default();
    let reader = delivery.take_reader(on_data(&mailbox));
    let Some(member) = shared.service.enter(&mailbox) else {
        return delivery.settle(DeliveryState::Released, clock::now());
    };
    let seat = member.seat();
    let client = ClientStream { delivery, reader, mailbox, pending: VecDeque::new(), dispatcher, member };
    shared.service.owner().run(seat, serve(Arc::clone(shared), client));
}

/// One client stream: reads its head, opens the server socket, then copies. Whatever ends it before that fails the
/// stream.
async fn serve(shared: Arc<Shared>, mut client: ClientStream) {
    let admitted = admit(&mut client).await;
    let Admitted { reply_to, alpn, record, ends } = match admitted {
        Ok(admitted) => admitted,
        Err(outcome) => return client.delivery.settle(outcome, clock::now()),
    };
    client.member.record = FlowRecord::server(record, shared.service.record(), client.delivery.annotations());
    let origin = Origin::of_request(client.delivery.annotations(), client.delivery.from_kind(), &reply_to);
    let Some(mut start) = begin(&shared, client) else { return };
    start.member.meet(&origin, shared.router.id());
    let conn = start.connection.id();
    let Start { connection, request: Request { reader, pending, .. }, effects, member, .. } = &mut start;
    let transport = tokio::select! {
        biased;
        () = closed_or(connection.mailbox(), effects, || has_left(reader, pending)) => None,
        transport = open(&shared, conn, (alpn.as_deref(), ends), &mut member.record) => transport,
    };
    // There may be no server (spec `tcp-adaptor.md` 8.3).
    let Some(transport) = transport else { return };
    // A task of its own: this one is larger by what opening the connection took.
    let seat = start.member.seat();
    shared.service.owner().run(seat, start.flow(transport, reply_to).run());
}

/// What the head of a client stream tells.
struct Admitted {
    /// Where the reply goes.
    reply_to: String,
    /// The protocol of the client's TLS.
    alpn: Option<String>,
    /// The record of the flow.
    record: Option<Identity>,
    /// Whose it is.
    ends: Option<ClientEnds>,
}

/// Reads the head of a client stream. Otherwise how the stream is settled.
async fn admit(client: &mut ClientStream) -> Result<Admitted, DeliveryState> {
    if BUDGET.refuses() {
        return Err(DeliveryState::Released);
    }
    let head = tokio::select! {
        biased;
        head = read_head(&client.reader, &client.mailbox, &mut client.pending) => head,
        _ = client.dispatcher.changed() => None,
    };
    let head = head.ok_or(DeliveryState::Released)?;
    let Head { len, reply_to, alpn, record, ends } = head.map_err(|error| match error {
        HeadError::Malformed => DeliveryState::Rejected(None),
        HeadError::WrongEncapsulation => {
            let conn = client.delivery.connection();
            router_engine::log!(LogModule::TcpAdaptor, Level::Error, conn = conn, "{error}");
            DeliveryState::Released
        }
    })?;
    consume(&mut client.pending, len);
    Ok(Admitted { reply_to: reply_to.ok_or(DeliveryState::Rejected(None))?, alpn, record, ends })
}

/// Whether a client whose server is still to be reached has left. It sends nothing yet but, maybe, its end.
fn has_left(reader: &Reader, pending: &mut VecDeque<Bytes>) -> bool {
    while pending.iter().map(Bytes::len).sum::<usize>() < HEAD_PULL {
        match reader.pull(HEAD_PULL, pending) {
            Pull::Data => {}
            Pull::Empty | Pull::Done(_) => return false,
            Pull::Aborted => return true,
        }
    }
    reader.stream().is_aborted()
}

/// Gives a client stream a connection of its own in the core: from here on it does without the dispatcher.
/// `None`, and the stream is released, when the tcpConnector was deleted.
fn begin(shared: &Shared, client: ClientStream) -> Option<Start> {
    let ClientStream { mut member, delivery, reader, mailbox, pending, .. } = client;
    let TcpConnectorParams { host, port, .. } = &shared.params;
    if shared.service.owner().is_draining() {
        delivery.settle(DeliveryState::Released, clock::now());
        return None;
    }
    member.count();
    let identity = setup::flow(true, format!("{host}:{port}"), None);
    let mut connection = Connection::join(&shared.router, identity, mailbox, clock::now());
    let links = [Attach::anonymous_sender("tcp.cside.in"), Attach::unbound_receiver("tcp.cside.out")];
    let [Ok(into), Ok(out_of)] = connection.attach(&mut Vec::new(), links, clock::now()) else {
        delivery.settle(DeliveryState::Released, clock::now());
        return None;
    };
    let wide = takes_grants(delivery.annotations());
    let delivery = delivery.move_to(&mut connection, out_of.link, clock::now());
    let request = Request { delivery, reader, pending, wide };
    Some(Start { connection, into: into.link, request, effects: Vec::new(), member })
}

// === impl Start ===

impl Start {
    /// Copies between the server and the client stream.
    fn flow(self, transport: Transport<TcpStream>, reply_to: String) -> Flow {
        let Self { connection, member, into, request, effects } = self;
        let local = transport.socket().local_addr().ok();
        member.record.proxy(local);
        let local_socket = local.map(|address| address.to_string());
        let socket = Socket::new(transport, connection.id(), Role::Responder);
        let mut exchange = Exchange::responder(connection, head::server_head(&reply_to), request);
        exchange.set_connecting(socket.transport.is_tls());
        exchange.tell(Action::Transport(Box::new(TransportFacts { local_socket, tls: None })));
        exchange.tell(setup::opened());
        let mut flow = Flow::new(exchange, socket, member);
        report::flow_opened(&flow);
        flow.start(into, reply_to, effects);
        flow
    }
}

/// Opens the server socket. `None` when that fails, which is logged.
async fn open(
    shared: &Shared,
    conn: ConnId,
    (alpn, ends): (Option<&str>, Option<ClientEnds>),
    record: &mut FlowRecord,
) -> Option<Transport<TcpStream>> {
    // Before the server is bothered: a session that cannot be made fails the stream like a refused connect.
    let session = make_session(shared, alpn.map(str::as_bytes)).inspect_err(|error| {
        record.fail(TLS_FAILED, "Error loading credentials");
        router_engine::log!(LogModule::TcpAdaptor, Level::Error, conn = conn, "Failed to create TLS session: {error}");
    });
    let session = session.ok()?;
    let params = &shared.params;
    let begun = clock::now();
    let stream = connect(shared, ends).await.inspect_err(|error| {
        let text = net::io_text(error, "on connect", &format!("{}:{}", params.host, params.port));
        tell_health(shared, begun, Err(&os_text(error)));
        record.fail(IO_FAILED, &text);
        router_engine::log!(LogModule::TcpAdaptor, Level::Info, conn = conn, "Connection failed: {text}");
        #[cfg(test)]
        report::capture::trip("Connection failed");
    });
    let stream = stream.ok()?;
    tell_health(shared, begun, Ok(()));
    shared.service.times().setup.observe(clock::now().since(begun));
    Some(match session {
        Some(session) => Transport::tls(stream, session),
        None => Transport::plain(stream),
    })
}

/// What became of an attempt to reach the server.
fn tell_health(shared: &Shared, begun: amqp_core::Instant, result: Result<(), &str>) {
    if let Some(health) = &shared.health {
        health.on_attempt(begun, result);
    }
}

fn make_session(shared: &Shared, alpn: Option<&[u8]>) -> Result<Option<Session>, TlsError> {
    let tls = shared.tls.lock().clone();
    tls.map(|tls| tls.session(&shared.params.host, alpn)).transpose()
}

/// Connects to the server, and tells it of the client if it wants to know.
async fn connect(shared: &Shared, ends: Option<ClientEnds>) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_LIMIT;
    let found = timeout_at(deadline, net::look_up_remote(&shared.params.host, shared.port, None)).await;
    let mut stream =
        net::connect_until(deadline, &found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?).await?;
    arm(&stream);
    if let Some(keep_alive) = shared.params.keep_alive {
        keep_alive.apply(&stream)?;
    }
    if shared.params.proxy_protocol {
        // Nothing was sent yet, so there is room.
        stream.write_all(&proxy_protocol::compose(ends)).await?;
    }
    Ok(stream)
}

/// Pulls until the head is complete. `None` when the client stream is told to close before.
async fn read_head(
    reader: &Reader,
    mailbox: &Mailbox,
    pending: &mut VecDeque<Bytes>,
) -> Option<Result<Head, HeadError>> {
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    std::future::poll_fn(|cx| {
        loop {
            mailbox.take(&mut effects, &mut ready);
            ready.clear();
            if effects.iter().any(|effect| matches!(effect, Effect::Close { .. })) {
                return Poll::Ready(None);
            }
            let pull = reader.pull(HEAD_PULL, pending);
            if pull == Pull::Aborted {
                return Poll::Ready(Some(Err(HeadError::Malformed)));
            }
            match head::parse(pending.make_contiguous(), matches!(pull, Pull::Done(_))) {
                Ok(Some(head)) => return Poll::Ready(Some(Ok(head))),
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(None) if pull == Pull::Empty && mailbox.park(cx.waker()) => return Poll::Pending,
                Ok(None) => {}
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::super::tests::{eventually, io, router};
    use super::*;
    use crate::health::Checks;
    use router_engine::exchange::head::RequestHead;
    use router_engine::port::local::Envelope;
    use socket2::SockRef;

    #[tokio::test]
    async fn servers_are_probed_as_told() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let at = server.local_addr().expect("bound");
        let interval = Duration::from_secs(70);
        for keep_alive in [None, Some(KeepAlive { interval, probes: 5 })] {
            let (host, port) = (at.ip().to_string(), at.port().to_string());
            let params = TcpConnectorParams { host, port, keep_alive, ..TcpConnectorParams::default() };
            let connector = TcpConnector::create(params, &io(&router())).expect("no TLS");
            let stream = connect(&connector.shared, None).await.expect("connected");
            let socket = SockRef::from(&stream);
            assert_eq!(socket.keepalive().expect("known"), keep_alive.is_some());
            assert_eq!(socket.tcp_keepalive_time().expect("known") == interval, keep_alive.is_some());
        }
    }

    #[tokio::test]
    async fn a_server_that_comes_back_as_its_connector_is_deleted_stays_away() {
        let connector = TcpConnector::create(TcpConnectorParams::default(), &io(&router())).expect("no TLS");
        connector.activate();
        connector.drain();
        assert!(Dispatcher::join(&connector.shared).is_none());
        assert!(!connector.shared.service.is_up());
    }

    /// Its dispatcher goes, and nothing more of it would come.
    #[tokio::test]
    async fn a_client_stream_without_its_whole_head_is_released_when_the_server_dies() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
        let at = server.local_addr().expect("bound");
        let checks = Checks { interval: Duration::from_millis(10), failures: 1, successes: 1 };
        let params = health::Params { checks: Some(checks), ejections: None };
        let params = TcpConnectorParams {
            address: "svc".to_owned(),
            host: at.ip().to_string(),
            port: at.port().to_string(),
            health: health::Config { params, timeout: Duration::from_secs(1), path: None },
            ..TcpConnectorParams::default()
        };
        let router = router();
        let io = io(&router);
        let connector = TcpConnector::create(params, &io).expect("no TLS");
        connector.activate();
        connector.shared.until_available().await;
        eventually(async || connector.shared.service.is_up().then_some(())).await;
        let mut sender = Endpoint::join(&router, setup::flow(false, String::new(), None), setup::open(), clock::now());
        let [link] = sender.attach([Attach::sender("in", "svc")], clock::now()).map(|a| a.expect("attached").link);
        let stream = sender.send_stream(link, Envelope::default().streaming(), 0, clock::now());
        stream.push(head::client_head(&RequestHead::new("svc"), "reply").slice(..20));
        eventually(async || (stream.buffered() == 0).then_some(())).await;
        assert_eq!(io.tasks().live()["flow"], 1);
        drop(server);
        eventually(async || (!io.tasks().live().contains_key("flow")).then_some(())).await;
        assert!(!connector.shared.service.owner().is_draining());
        connector.delete(false);
    }
}
