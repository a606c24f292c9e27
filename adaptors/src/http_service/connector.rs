//! httpConnector: takes the requests of a service address to a server, over connections that it keeps.
//!
//! ```text
//!  address --requests--> Dispatcher --Job--> idle connection (HTTP/1), connection with room (HTTP/2), or a new one
//!                             ^                   |
//!                             '---- Notice -------' opened, lost, ended, failed; a request that it could not take
//!
//!  Down --connected--> Up: consumes the address --no connection, and none can be had--> Down
//! ```
//!
//! While the server can be reached there is a connection that takes requests, so that its end is noticed. An address without it
//! is left: requests that were taken go on to their ends, new ones go elsewhere.

mod dispatcher;
mod pool;

use super::message::{Address, BodyForm, MessageError, answer_head};
use super::responder::{Progress, Serving};
use super::serve::{Asked, Job, Taken, Target};
use super::server::text_headers;
use super::tally::{Answered, Counters, Direction, Outcome, Tally};
use super::{HttpVersion, setup};
use crate::health::{self, Health, Probe, ProbeParams, Subject};
use crate::net;
use crate::runtime::Io;
use crate::tcp::{Label, Service};
use crate::tls::{ClientOptions, Consumer, Session, TlsClient, TlsConfigError, TlsError, TlsProfile, TlsUpdate};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use dispatcher::{Dispatcher, Notice};
use hyper::StatusCode;
use hyper::header::HeaderValue;
use parking_lot::Mutex;
use pool::Pool;
use router_engine::exchange::Role;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::vanflow::Record;
use router_engine::{OutId, Router};
use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) use dispatcher::Registration;
pub(super) use pool::{Established, Lane, Load, Opening, STREAMS};

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
    /// Connections that are established and take requests.
    open: AtomicUsize,
    /// Connections that are established or being opened.
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
            let probed = Arc::clone(shared);
            let session = move |alpn: &[u8]| probed.session(Some(alpn));
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

/// What the server is tried with.
fn probe(shared: &Shared) -> Probe {
    let HttpConnectorParams { host, health, tls, .. } = &shared.params;
    Probe::new(ProbeParams {
        host: host.clone(),
        port: shared.port,
        timeout: health.timeout,
        preface: Vec::new(),
        path: health.path.clone(),
        is_tls: tls.is_some(),
    })
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

    fn session(&self, alpn: Option<&[u8]>) -> Result<Option<Session>, TlsError> {
        let tls = self.tls.lock().clone();
        tls.map(|tls| tls.session(&self.params.host, alpn)).transpose()
    }
}
