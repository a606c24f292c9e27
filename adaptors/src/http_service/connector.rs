//! httpConnector: takes the requests of a service address to a server, over connections that it keeps.
//!
//! ```text
//!  address --requests--> Dispatcher --Job--> idle connection (HTTP/1), connection with room (HTTP/2), or a new one
//!                             ^                   |
//!                             '---- Notice -------' opened, lost, failed; a request that it could not take
//!
//!  Down --connected--> Up: consumes the address --no connection, and none can be had--> Down
//! ```
//!
//! While the server can be reached there is a connection, so that its end is noticed. An address without it is left: requests
//! that were taken go on to their ends, new ones go elsewhere.

use super::io::ServiceIo;
use super::message::{Address, BodyForm, MessageError, answer_head};
use super::responder::{Progress, Responder, Serving};
use super::serve::{Asked, Job, Taken, Target};
use super::server::{run_http1, run_http2, text_headers};
use super::tally::{Answered, Counters, Direction, Outcome, Tally};
use super::{HttpVersion, setup};
use crate::clock;
use crate::health::{self, Health, Probe, ProbeError, ProbeParams, Subject};
use crate::net::{self, KeepAlive};
use crate::retry::at;
use crate::runtime::Io;
use crate::tasks::contained;
use crate::tcp::{Label, Member, Service};
use crate::tls::{ClientOptions, Consumer, Session, TlsClient, TlsConfigError, TlsError, TlsProfile, TlsUpdate};
use crate::transport::Transport;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use parking_lot::Mutex;
use router_engine::exchange::Role;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::memory::BUDGET;
use router_engine::port::local::{Attach, Delivery, Endpoint, Event};

use router_engine::vanflow::Record;
use router_engine::{LinkId, Mailbox, OutId, Router};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long looking a server up and connecting to it may take, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// By how much the pause between attempts to reach the server grows, and to what.
const PAUSE_GROWS: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Connections that a request may be refused by before it is released.
const REFUSALS_MAX: u32 = 3;

/// Connections to one server.
const CONNECTIONS_MAX: usize = 4096;

/// Requests that wait for one connection.
const WAITING_MAX: usize = 1024;

/// A server that closes a connection sooner, although it was asked nothing, is as good as none.
const SHORT_LIFE: Duration = Duration::from_secs(1);

const STOPPING: &str = "the router is stopping";

/// Why a connection comes to nothing, when nothing else is known.
const FAILED: &str = "no connection could be made";

/// How long a server's host may be silent, and leave data unacknowledged, before its connections are given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Requests side by side on one connection of HTTP/2; most servers take no more.
pub(super) const STREAMS: usize = 100;

/// Configuration of an httpConnector.
#[derive(Debug, Clone, Default)]
pub struct HttpConnectorParams {
    /// The entity's name.
    pub name: String,
    /// The service address, with the tenant prefix.
    pub address: String,
    /// The server's host.
    pub host: String,
    /// The server's port number or service name.
    pub port: String,
    /// What the server speaks.
    pub version: HttpVersion,
    /// The server uses TLS; this profile verifies it.
    pub tls: Option<TlsProfile>,
    /// The server's certificate must name the host.
    pub verify_hostname: bool,
    /// What servers are told as the host in place of what clients say.
    pub host_override: Option<String>,
    /// Answers are not passed on.
    pub event_channel: bool,
    /// Answers are put together with those of other servers.
    pub aggregates: bool,
    /// The site, told with answers.
    pub site: Option<String>,
    /// The identity of the server's process, in records.
    pub process_id: Option<String>,
    /// What tells whether the server is well.
    pub health: health::Config,
}

/// An httpConnector. Dropping the handle does not end it: [`Self::delete`] does.
#[derive(Debug)]
pub struct HttpConnector {
    shared: Arc<Shared>,
}

/// What the connections of a connector share.
#[derive(Debug)]
pub(super) struct Shared {
    params: HttpConnectorParams,
    /// The number of the port, when it has one.
    port: Option<u16>,
    router: Arc<Router>,
    service: Arc<Service>,
    tls: Mutex<Option<TlsClient>>,
    target: Target,
    pool: Mutex<Pool>,
    /// Connections that are established.
    open: AtomicUsize,
    /// The same, and those that are being opened.
    connections: AtomicUsize,
    notices: mpsc::UnboundedSender<Notice>,
    cancels: Mutex<HashMap<OutId, Arc<Progress>>>,
    /// For the task that dispatches.
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Notice>>>,
    status: Mutex<Status>,
    /// How the server is, where somebody looks.
    health: Option<Arc<Health>>,
}

#[derive(Debug, Clone, Default)]
struct Status {
    up: bool,
    message: String,
}

/// Connections that may take requests.
#[derive(Debug, Default)]
struct Pool {
    /// Of HTTP/1, that are idle: the one that was used last comes last.
    idle: Vec<(u64, oneshot::Sender<Job>)>,
    next: u64,
    /// Of HTTP/2.
    multiplexed: Vec<Multiplexed>,
    /// Requests for a connection that is being opened: with HTTP/1 the one request that has claimed it.
    waiting: VecDeque<Job>,
    /// A connection is being opened that no request has claimed.
    connecting: bool,
}

#[derive(Debug)]
struct Multiplexed {
    responder: Arc<Responder>,
    requests: mpsc::UnboundedSender<Job>,
    load: Arc<AtomicUsize>,
    /// As many as the server takes.
    limit: Arc<AtomicUsize>,
}

/// What connections tell the task that dispatches.
#[derive(Debug)]
pub(super) enum Notice {
    /// A request that a connection could not take, and of which nothing has left.
    Again(Box<Job>),
    /// A request for a connection that was never used.
    Afresh(Box<Job>),
    /// The server was reached.
    Opened,
    /// A connection has ended; it was of use, or was no longer than it takes to say so.
    Lost { useful: bool },
    /// The server could not be reached.
    Failed(String),
}

/// Takes the requests of the service address.
struct Dispatcher {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    inbox: mpsc::UnboundedReceiver<Notice>,
    /// The link that consumes the address, while the server can be reached.
    link: Option<LinkId>,
    /// Connections in a row that were of no use.
    useless: u32,
    /// What checks and requests say of the server.
    available: bool,
    pause: Duration,
    retry: Option<Instant>,
}

/// A connection that is about to be, or is there: counted until this is dropped.
struct Opening {
    shared: Arc<Shared>,
    /// No request has claimed it yet.
    unclaimed: bool,
    /// What is told when it comes to nothing.
    notice: Option<String>,
}

/// A connection that is established, until this is dropped.
struct Established {
    shared: Arc<Shared>,
    since: Instant,
    useful: bool,
}

/// A request on a connection of HTTP/2, until it is dropped.
#[derive(Debug)]
pub(super) struct Load(Option<Arc<AtomicUsize>>);

// === impl HttpConnector ===

impl HttpConnector {
    /// Configures an httpConnector; [`Self::activate`] starts it. Reads files: not for an IO thread.
    ///
    /// # Errors
    /// When the TLS profile cannot be used.
    pub fn create(params: HttpConnectorParams, io: &Io) -> Result<Self, TlsConfigError> {
        let tls = params.tls.as_ref().map(|profile| load(profile, &params)).transpose()?;
        let HttpConnectorParams { name, address, host, port, .. } = &params;
        log!(LogModule::HttpAdaptor, Level::Info, "Configured httpConnector for {address}, {host}:{port}");
        let record = setup::connector_record(io.router(), &params);
        let label = Label { role: Role::Responder, name: name.clone(), address: address.clone() };
        let owner = io.service(format!("httpConnector {name}"));
        let counters = Arc::new(Counters::new(Direction::Out, address));
        let service = io.services().begin_http(label, owner, record, params.version, Arc::clone(&counters));
        let subject = format!("httpConnector {name}: server {host}:{port}");
        let health = Health::new(params.health.params, Subject { module: LogModule::HttpAdaptor, name: subject });
        health.iter().for_each(|health| service.show_health(health));
        let (notices, inbox) = mpsc::unbounded_channel();
        let shared = Shared {
            port: net::port_number(port),
            router: Arc::clone(io.router()),
            service,
            target: target(&params, &counters, tls.is_some()),
            tls: Mutex::new(tls),
            pool: Mutex::default(),
            open: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            notices,
            cancels: Mutex::default(),
            inbox: Mutex::new(Some(inbox)),
            status: Mutex::default(),
            health,
            params,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Connects to the server, and attaches to the address once that is done.
    pub fn activate(&self) {
        let shared = &self.shared;
        if !shared.service.activate() {
            return;
        }
        let Some(inbox) = shared.inbox.lock().take() else { return };
        let dispatcher = Dispatcher::join(shared, inbox);
        let owner = shared.service.owner();
        owner.spawn("dispatcher", dispatcher.run());
        if let Some(health) = &shared.health {
            owner.spawn("health", Arc::clone(health).run(Arc::clone(owner), prober(shared)));
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
    pub fn params(&self) -> &HttpConnectorParams {
        &self.shared.params
    }

    /// Connections opened and closed.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.shared.service
    }

    /// Whether the server can be reached, and why not.
    #[must_use]
    pub fn status(&self) -> (bool, String) {
        let Status { up, message } = self.shared.status.lock().clone();
        (up, message)
    }

    /// Leaves the address, and closes connections once they have no requests.
    pub fn drain(&self) {
        self.shared.service.close(false);
        self.shared.set_status(false, "");
    }

    /// [`Self::drain`], for good; with `drop_connections` cuts the server connections.
    pub fn delete(&self, drop_connections: bool) {
        self.drain();
        self.shared.service.close(drop_connections);
        let HttpConnectorParams { address, host, port, .. } = &self.shared.params;
        log!(LogModule::HttpAdaptor, Level::Info, "Deleted httpConnector for {address}, {host}:{port}");
    }
}

fn load(profile: &TlsProfile, params: &HttpConnectorParams) -> Result<TlsClient, TlsConfigError> {
    let options = ClientOptions { verify_hostname: params.verify_hostname };
    TlsClient::load(profile, Consumer::Tcp, &options).inspect_err(|error| {
        let name = &params.name;
        let text = "TLS configuration failed: Configuration";
        log!(LogModule::HttpAdaptor, Level::Error, "httpConnector {name} {text}: {error}");
    })
}

/// What the server is tried with, as often as it is.
fn prober(shared: &Arc<Shared>) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<(), ProbeError>> + Send>> + use<> {
    let HttpConnectorParams { host, health, tls, .. } = &shared.params;
    let probe = Arc::new(Probe::new(ProbeParams {
        host: host.clone(),
        port: shared.port,
        timeout: health.timeout,
        preface: Vec::new(),
        path: health.path.clone(),
        is_tls: tls.is_some(),
    }));
    let shared = Arc::clone(shared);
    move || {
        let (shared, probe) = (Arc::clone(&shared), Arc::clone(&probe));
        Box::pin(async move { probe.run(|alpn| shared.session(Some(alpn))).await })
    }
}

fn target(params: &HttpConnectorParams, counters: &Arc<Counters>, tls: bool) -> Target {
    let host_override = params.host_override.as_deref().and_then(|host| HeaderValue::try_from(host).ok());
    Target {
        version: params.version.http(),
        speaks: params.version,
        scheme: if tls { "https" } else { "http" },
        host_override,
        host: format!("{}:{}", net::url_host(&params.host), params.port),
        site: params.site.clone(),
        event_channel: params.event_channel,
        aggregates: params.aggregates,
        tally: Tally::new(counters, &params.host),
    }
}

// === impl Shared ===

impl Shared {
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// The record of the connector.
    pub(super) fn record(&self) -> Option<&Record> {
        self.service.record()
    }

    pub(super) fn describe(&self) -> String {
        let HttpConnectorParams { address, host, port, .. } = &self.params;
        format!("httpConnector {address} at {host}:{port}")
    }

    fn set_status(&self, up: bool, message: &str) -> Status {
        self.service.set_up(up);
        std::mem::replace(&mut self.status.lock(), Status { up, message: message.to_owned() })
    }

    /// Ready when no more requests come.
    pub(super) fn draining(&self) -> impl Future<Output = ()> + Send {
        self.service.owner().draining()
    }

    /// An attempt of real traffic, begun at that time, has shown how the server is.
    pub(super) fn note_attempt(&self, begun: amqp_core::Instant, result: Result<(), &str>) {
        if let Some(health) = &self.health {
            health.on_attempt(begun, result);
        }
    }

    /// Whether the server gets requests.
    fn is_available(&self) -> bool {
        self.health.as_ref().is_none_or(|health| health.is_available())
    }

    /// Ready when that is another than it `was`.
    async fn availability_changes(&self, was: bool) {
        match &self.health {
            Some(health) if was => health.until_withdrawn().await,
            Some(health) => health.until_available().await,
            None => pending().await,
        }
    }

    /// Whether nobody else has a connection to the server.
    pub(super) fn is_last(&self) -> bool {
        self.open.load(Ordering::Relaxed) <= 1 && !self.service.owner().is_draining()
    }

    /// A connection of HTTP/1 can take a request. Returns the number of the offer.
    pub(super) fn offer(&self, taker: oneshot::Sender<Job>) -> u64 {
        let pool = &mut *self.pool.lock();
        pool.next += 1;
        pool.idle.push((pool.next, taker));
        pool.next
    }

    /// An offer is none any more.
    pub(super) fn withdraw_offer(&self, number: u64) {
        self.pool.lock().idle.retain(|(known, _)| *known != number);
    }

    /// A connection could not take a request, of which nothing has left.
    pub(super) fn again(&self, mut job: Job) {
        job.refused += 1;
        if job.refused > REFUSALS_MAX {
            return job.settle(DeliveryState::Released);
        }
        self.notify(Notice::Again(Box::new(job)));
    }

    /// A connection had ended before it was given a request.
    pub(super) fn elsewhere(&self, job: Job) {
        self.notify(Notice::Again(Box::new(job)));
    }

    /// A connection has ended that a request was sent by, which may be sent again.
    pub(super) fn afresh(&self, mut job: Job) {
        job.renewed = true;
        self.notify(Notice::Afresh(Box::new(job)));
    }

    fn notify(&self, notice: Notice) {
        // Nobody dispatches any more.
        if let Err(mpsc::error::SendError(Notice::Again(job) | Notice::Afresh(job))) = self.notices.send(notice) {
            job.settle(DeliveryState::Released);
        }
    }

    /// Counts a request on a connection of HTTP/2, which was counted when it was given out.
    pub(super) fn load_of(&self, responder: &Arc<Responder>) -> Load {
        let pool = self.pool.lock();
        let of = pool.multiplexed.iter().find(|multiplexed| Arc::ptr_eq(&multiplexed.responder, responder));
        Load(of.map(|multiplexed| Arc::clone(&multiplexed.load)))
    }

    /// Logs that a request makes no sense to the server.
    pub(super) fn reject(&self, job: &Job, asked: &Asked, error: &MessageError) {
        self.target.tally.failed(Outcome::Refused);
        let (conn, method) = (job.request.delivery.connection(), &asked.method);
        log!(LogModule::HttpAdaptor, Level::Debug, conn = conn, "{}: {method} refused: {error}", self.describe());
    }

    /// Answers in place of the server.
    pub(super) fn refuse(&self, asked: &Asked, serving: &Serving, request: Taken, status: StatusCode, text: &str) {
        let Some(reply_to) = asked.reply_to.as_deref() else {
            return request.settle(DeliveryState::Rejected(None));
        };
        let address = Address { to: reply_to, id: asked.id, ..Address::default() };
        let mut headers = text_headers();
        headers.insert(hyper::header::CONTENT_LENGTH, text.len().into());
        let mut message = answer_head(asked.dialect, &address, status, &asked.path, &headers, text.len());
        let body = [Bytes::copy_from_slice(text.as_bytes())];
        BodyForm::Bare(asked.dialect).put_whole(&mut message, &body, None, asked.own);
        serving.answer(reply_to, message.freeze(), request, false);
        let (bytes_in, bytes_out, latency) = (0, 0, Duration::ZERO);
        let (method, site) = (&asked.method, asked.site.as_deref());
        self.target.tally.answered(&Answered { method, status, site, bytes_in, bytes_out, latency });
    }

    /// Gives a request to a connection.
    fn assign(self: &Arc<Self>, job: Job) {
        match self.params.version {
            HttpVersion::Http1 => self.assign_http1(job),
            HttpVersion::Http2 => self.assign_http2(job),
        }
    }

    fn assign_http1(self: &Arc<Self>, mut job: Job) {
        loop {
            let taker = {
                let pool = &mut *self.pool.lock();
                match pool.idle.pop() {
                    Some((_, taker)) => taker,
                    // A server may take one connection at a time.
                    None if std::mem::take(&mut pool.connecting) => return pool.waiting.push_back(job),
                    None => break,
                }
            };
            match taker.send(job) {
                Ok(()) => return,
                // It has ended.
                Err(returned) => job = returned,
            }
        }
        self.connect(Some(job));
    }

    fn assign_http2(self: &Arc<Self>, mut job: Job) {
        let connect = {
            let pool = &mut *self.pool.lock();
            loop {
                let least = pool.multiplexed.iter().enumerate();
                let least = least.min_by_key(|(_, multiplexed)| multiplexed.load.load(Ordering::Relaxed));
                let Some((at, chosen)) =
                    least.filter(|(_, m)| m.load.load(Ordering::Relaxed) < m.limit.load(Ordering::Relaxed))
                else {
                    break;
                };
                chosen.load.fetch_add(1, Ordering::Relaxed);
                match chosen.requests.send(job) {
                    Ok(()) => return,
                    Err(error) => job = error.0,
                }
                pool.multiplexed.swap_remove(at);
            }
            if pool.waiting.len() >= WAITING_MAX {
                return job.settle(DeliveryState::Released);
            }
            pool.waiting.push_back(job);
            !std::mem::replace(&mut pool.connecting, true)
        };
        if connect {
            self.connect(None);
        }
    }

    /// Opens a connection, for a request or for those to come.
    fn connect(self: &Arc<Self>, job: Option<Job>) {
        let mailbox = Arc::default();
        let opening = Opening { shared: Arc::clone(self), unclaimed: job.is_none(), notice: Some(FAILED.to_owned()) };
        let room = self.connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX;
        let member = self.service.enter(&mailbox).filter(|_| room);
        let Some(member) = member else {
            return job.into_iter().for_each(|job| job.settle(DeliveryState::Released));
        };
        let seat = member.seat();
        let shared = Arc::clone(self);
        self.service.owner().run(seat, async move { shared.run_connection(mailbox, member, job, opening).await });
    }

    /// The life of a connection to the server.
    async fn run_connection(
        self: Arc<Self>,
        mailbox: Arc<Mailbox>,
        mut member: Member,
        job: Option<Job>,
        mut opening: Opening,
    ) {
        let begun = clock::now();
        let opened = tokio::select! {
            opened = self.open_transport() => opened,
            () = self.service.owner().stopped() => Err(STOPPING.to_owned()),
        };
        let transport = match opened {
            Ok(transport) => transport,
            Err(text) => {
                if text != STOPPING && (job.is_some() || opening.is_awaited()) {
                    self.note_attempt(begun, Err(&text));
                }
                opening.notice = Some(text);
                return job.into_iter().for_each(|job| job.settle(DeliveryState::Released));
            }
        };
        let Some(responder) = self.join(&transport, mailbox).map(Arc::new) else {
            return job.into_iter().for_each(|job| job.settle(DeliveryState::Released));
        };
        member.count();
        let established = Established::new(&self);
        opening.notice = None;
        self.notify(Notice::Opened);
        let io = ServiceIo::new(transport);
        let counts = io.counts();
        let useful = match self.params.version {
            HttpVersion::Http1 => {
                let job = job.or_else(|| opening.claim());
                run_http1(&self, io, Arc::clone(&responder), job).await
            }
            HttpVersion::Http2 => {
                let (requests, limit) = opening.publish(&responder);
                run_http2(&self, io, Arc::clone(&responder), requests, &limit).await
            }
        };
        member.note(counts.get(), false);
        // The dispatcher, which is told next, looks for what is still under way.
        drop(responder);
        drop(established.useful(useful));
    }

    /// A connection of HTTP/2 takes no more requests.
    pub(super) fn unpublish(&self, responder: &Arc<Responder>) {
        self.pool.lock().multiplexed.retain(|known| !Arc::ptr_eq(&known.responder, responder));
    }

    fn join(&self, transport: &Transport<tokio::net::TcpStream>, mailbox: Arc<Mailbox>) -> Option<Responder> {
        let local = transport.socket().local_addr().ok().map(|address| address.to_string());
        let HttpConnectorParams { host, port, version, .. } = &self.params;
        let identity = setup::identity(*version, true, format!("{host}:{port}"), local);
        Responder::new(Endpoint::join_with(&self.router, identity, setup::open(*version), mailbox, clock::now()))
    }

    /// Opens the server socket. Otherwise why not.
    async fn open_transport(&self) -> Result<Transport<tokio::net::TcpStream>, String> {
        let HttpConnectorParams { host, port, version, .. } = &self.params;
        let session =
            self.session(Some(version.alpn())).map_err(|error| format!("Failed to create TLS session: {error}"))?;
        let begun = clock::now();
        let deadline = Instant::now() + CONNECT_LIMIT;
        let text = |error: &io::Error| net::io_text(error, "on connect", &format!("{host}:{port}"));
        let connected = timeout_at(deadline, async {
            let found = net::look_up_remote(host, self.port, None).await?;
            net::connect_until(deadline, &found).await
        });
        let late = || Err(io::ErrorKind::TimedOut.into());
        let stream = connected.await.unwrap_or_else(|_| late()).map_err(|error| text(&error))?;
        let _ = KeepAlive { interval: SILENCE, probes: 3 }.apply(&stream);
        net::limit_unacknowledged(&stream, SILENCE);
        self.service.times().setup.observe(clock::now().since(begun));
        let Some(session) = session else { return Ok(Transport::plain(stream)) };
        let mut transport = Transport::tls(stream, session);
        let secured = timeout_at(deadline, poll_fn(|cx| transport.poll_handshake(cx))).await;
        match secured {
            Err(_) => return Err("TLS connection failed: no handshake in time".to_owned()),
            Ok(Err(error)) => return Err(format!("TLS connection failed: {error}")),
            Ok(Ok(())) => {}
        }
        let agreed = transport.info().and_then(|info| info.alpn.clone());
        if *version == HttpVersion::Http2 && agreed.as_deref() != Some(b"h2") {
            return Err("the server does not agree to HTTP/2".to_owned());
        }
        Ok(transport)
    }

    fn session(&self, alpn: Option<&[u8]>) -> Result<Option<Session>, TlsError> {
        let tls = self.tls.lock().clone();
        tls.map(|tls| tls.session(&self.params.host, alpn)).transpose()
    }
}

// === impl Opening ===

impl Opening {
    /// A connection of HTTP/1 that was opened for no request has got one meanwhile.
    fn claim(&mut self) -> Option<Job> {
        let unclaimed = std::mem::take(&mut self.unclaimed);
        let pool = &mut *self.shared.pool.lock();
        pool.connecting &= !unclaimed;
        pool.waiting.pop_front().filter(|_| unclaimed)
    }

    /// Whether a request waits for it.
    fn is_awaited(&self) -> bool {
        self.unclaimed && !self.shared.pool.lock().waiting.is_empty()
    }

    /// A connection of HTTP/2 can take requests, and gets those that have waited for it.
    fn publish(&mut self, responder: &Arc<Responder>) -> (mpsc::UnboundedReceiver<Job>, Arc<AtomicUsize>) {
        self.unclaimed = false;
        let (requests, receiver) = mpsc::unbounded_channel();
        let limit = Arc::new(AtomicUsize::new(STREAMS));
        let rest = {
            let pool = &mut *self.shared.pool.lock();
            pool.connecting = false;
            let taken = pool.waiting.len().min(STREAMS);
            let load = Arc::new(AtomicUsize::new(taken));
            for job in pool.waiting.drain(..taken) {
                let _ = requests.send(job);
            }
            let (responder, limit) = (Arc::clone(responder), Arc::clone(&limit));
            pool.multiplexed.push(Multiplexed { responder, requests, load, limit });
            std::mem::take(&mut pool.waiting)
        };
        rest.into_iter().for_each(|job| self.shared.elsewhere(job));
        (receiver, limit)
    }
}

impl Drop for Opening {
    /// No connection comes for those that wait for it.
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(text) = self.notice.take() {
            self.shared.notify(Notice::Failed(text));
        }
        if !self.unclaimed {
            return;
        }
        let waiting = {
            let pool = &mut *self.shared.pool.lock();
            pool.connecting = false;
            std::mem::take(&mut pool.waiting)
        };
        waiting.into_iter().for_each(|job| job.settle(DeliveryState::Released));
    }
}

// === impl Established ===

impl Established {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), since: Instant::now(), useful: false }
    }

    /// Whether it was `asked` anything.
    fn useful(mut self, asked: bool) -> Self {
        self.useful = asked || self.since.elapsed() >= SHORT_LIFE;
        self
    }
}

impl Drop for Established {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        self.shared.notify(Notice::Lost { useful: self.useful });
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(load) = &self.0 {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

// === impl Dispatcher ===

impl Dispatcher {
    fn join(shared: &Arc<Shared>, inbox: mpsc::UnboundedReceiver<Notice>) -> Self {
        let HttpConnectorParams { host, port, version, .. } = &shared.params;
        let identity = setup::dispatcher(format!("{host}:{port}"));
        let endpoint = Endpoint::join(&shared.router, identity, setup::open(*version), clock::now());
        Self {
            shared: Arc::clone(shared),
            endpoint,
            inbox,
            link: None,
            useless: 0,
            available: shared.is_available(),
            pause: Duration::ZERO,
            retry: None,
        }
    }

    /// Serves until the httpConnector is drained.
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        self.reach();
        loop {
            let ended = tokio::select! {
                ended = contained(self.dispatch()) => ended.is_some(),
                () = shared.service.owner().draining() => true,
            };
            if ended {
                break;
            }
            shared.service.owner().log_panic("dispatcher");
        }
        self.leave();
        // Those that were taken go on to their ends.
        tokio::select! {
            () = self.finish() => {}
            () = shared.service.owner().stopped() => {}
        }
    }

    /// Takes requests and notices.
    async fn dispatch(&mut self) {
        loop {
            tokio::select! {
                event = poll_fn(|cx| self.endpoint.poll_event(cx)) => self.on_event(event),
                Some(notice) = self.inbox.recv() => self.on_notice(notice),
                () = at(self.retry) => {
                    self.retry = None;
                    self.reach();
                }
                () = self.shared.availability_changes(self.available) => self.on_availability(),
            }
            self.endpoint.submit(clock::now());
        }
    }

    /// Takes no new requests.
    async fn finish(&mut self) {
        while !self.shared.cancels.lock().is_empty() {
            tokio::select! {
                event = poll_fn(|cx| self.endpoint.poll_event(cx)) => self.on_event(event),
                Some(notice) = self.inbox.recv() => {
                    if let Notice::Again(job) | Notice::Afresh(job) = notice {
                        job.settle(DeliveryState::Released);
                    }
                }
            }
            self.endpoint.submit(clock::now());
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => self.on_request(delivery),
            Event::SenderUpdate { delivery, settled: true, .. } | Event::Withdrawn(delivery) => {
                let known = self.shared.cancels.lock().remove(&delivery);
                known.into_iter().for_each(|progress| progress.cancel());
            }
            _ => {}
        }
    }

    fn on_request(&mut self, delivery: Delivery) {
        if self.link.is_none() || BUDGET.refuses() {
            return self.endpoint.settle(delivery, DeliveryState::Released);
        }
        let progress = Arc::<Progress>::default();
        self.shared.cancels.lock().insert(delivery.id(), Arc::clone(&progress));
        let registration = Registration { shared: Arc::clone(&self.shared), delivery: delivery.id() };
        let request = Taken { delivery, _registration: registration };
        self.shared.assign(Job { request, progress, refused: 0, renewed: false });
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Again(job) => self.shared.assign(*job),
            Notice::Afresh(job) => self.shared.connect(Some(*job)),
            Notice::Opened => self.on_reached(),
            Notice::Lost { useful } => self.on_lost(useful),
            Notice::Failed(text) => self.on_failed(&text),
        }
    }

    /// Tries to have a connection.
    fn reach(&self) {
        self.shared.pool.lock().connecting = true;
        self.shared.connect(None);
    }

    fn on_reached(&mut self) {
        self.retry = None;
        if self.link.is_some() || !self.available {
            return;
        }
        let links = [Attach::receiver("http.connector.out", &self.shared.params.address)];
        let [attached] = self.endpoint.attach(links, clock::now());
        // An address that nobody may have is nothing to complain of: there will be no requests.
        self.link = attached.ok().map(|attached| attached.link);
        self.shared.set_status(true, "");
        log!(LogModule::HttpAdaptor, Level::Info, "{} is reached", self.shared.describe());
    }

    /// Checks, or requests, have it that the server is to get requests now, or none.
    fn on_availability(&mut self) {
        self.available = self.shared.is_available();
        if !self.available {
            self.leave();
            self.shared
                .set_status(false, &self.shared.health.as_ref().map(|health| health.view().reason).unwrap_or_default());
        } else if self.shared.open.load(Ordering::Relaxed) > 0 {
            self.on_reached();
        }
    }

    /// The last connection is missed, unless the server closes all at once.
    fn on_lost(&mut self, useful: bool) {
        if useful {
            (self.useless, self.pause) = (0, Duration::ZERO);
        } else {
            self.useless += 1;
        }
        if self.shared.open.load(Ordering::Relaxed) > 0 || self.retry.is_some() {
            return;
        }
        match self.useless {
            0 | 1 => self.reach(),
            _ => self.on_failed("the server closes connections at once"),
        }
    }

    fn on_failed(&mut self, text: &str) {
        // Another connection lives, or it is known.
        if self.shared.open.load(Ordering::Relaxed) > 0 || self.retry.is_some() {
            return;
        }
        self.leave();
        let known = self.shared.set_status(false, text);
        if known.message != text {
            log!(LogModule::HttpAdaptor, Level::Warning, "{} cannot be reached: {text}", self.shared.describe());
        }
        self.pause = (self.pause + PAUSE_GROWS).min(PAUSE_MAX);
        self.retry = Some(Instant::now() + self.pause);
    }

    /// Leaves the address.
    fn leave(&mut self) {
        if let Some(link) = self.link.take() {
            self.endpoint.unbind(link);
            self.endpoint.submit(clock::now());
        }
    }
}

/// That a request is known by its delivery, until this is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    shared: Arc<Shared>,
    delivery: OutId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.cancels.lock().remove(&self.delivery);
    }
}
