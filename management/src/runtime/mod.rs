//! What runs because of the configuration: the core, its adaptors, and what each entity stands for.
//!
//! A configuration file and management requests come here by the same way: [`Runtime`] is the
//! agent's [`Backend`](crate::agent::Backend).

mod backend;
mod convert;
mod entities;
mod governor;
mod live;
mod policy;
mod usage;

use crate::error::RouterError;
use crate::log::{TimeFormat, logger};
use crate::params::{
    DataConnections, ListenerAddressParams, NetworkParams, ProxyProfileParams, RouterParams, SslProfileParams,
    TcpConnectorParams, TcpListenerParams,
};
use adaptors::amqp::{Connector, Listener};
use adaptors::random;
use adaptors::runtime::Io;
use adaptors::tcp::{TcpConnector, TcpListener};
use amqp_core::Instant;
use router_engine::Router;
use router_engine::core::{Mode, RouterConfig};
use router_engine::log::{Level, LogModule};
use router_engine::rng::SecretRng;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// The running router and what its entities stand for. See the module documentation.
pub struct Runtime {
    handle: Handle,
    /// The router entity, once it is there.
    params: Option<RouterParams>,
    /// The core and its adaptors, once the network entity is there.
    engine: Option<Engine>,
    entities: Entities,
    boot: Boot,
}

/// Whether the next listener has to listen: a router whose first way in does not open when it starts is of no use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    /// No listener or connector was made yet.
    First,
    /// The first one was a listener, and it does not listen.
    Failed,
    /// The first one was made, or the start is over.
    Done,
}

/// The core and its adaptors.
struct Engine {
    io: Io,
    router: Arc<Router>,
    tenant: Option<String>,
}

/// What entities stand for, by identity.
#[derive(Default)]
struct Entities {
    profiles: HashMap<String, SslProfileParams>,
    proxies: HashMap<String, ProxyProfileParams>,
    listeners: HashMap<String, OpenListener>,
    connectors: HashMap<String, OpenConnector>,
    tcp_listeners: HashMap<String, OpenTcpListener>,
    tcp_connectors: HashMap<String, OpenTcpConnector>,
    listener_addresses: HashMap<String, ListenerAddressParams>,
    /// Names of vhosts there are or were: their statistics stay.
    vhosts: Vec<String>,
}

struct OpenListener {
    listener: Listener,
    ssl_profile: Option<String>,
}

struct OpenConnector {
    connector: Connector,
    ssl_profile: Option<String>,
}

struct OpenTcpListener {
    listener: TcpListener,
    params: TcpListenerParams,
}

struct OpenTcpConnector {
    connector: TcpConnector,
    params: TcpConnectorParams,
}

// === impl Runtime ===

impl Runtime {
    /// Nothing runs yet: entities make it so. `handle` is the executor.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle, params: None, engine: None, entities: Entities::default(), boot: Boot::First }
    }

    /// The core, once the router and network entities are there.
    #[must_use]
    pub fn router(&self) -> Option<&Arc<Router>> {
        self.engine.as_ref().map(|e| &e.router)
    }

    /// The adaptors, once the router and network entities are there.
    #[must_use]
    pub fn io(&self) -> Option<&Io> {
        self.engine.as_ref().map(|e| &e.io)
    }

    /// Ends the start: from here on the router does without listeners that cannot open their socket. False: one
    /// that it cannot do without has failed before.
    #[must_use]
    pub fn finish_boot(&mut self) -> bool {
        std::mem::replace(&mut self.boot, Boot::Done) != Boot::Failed
    }

    fn set_router(&mut self, params: RouterParams) {
        logger().set_time(TimeFormat::new(params.timestamp_format.as_deref(), params.timestamps_in_utc));
        self.params = Some(params);
    }

    /// Builds the core: the router entity came before.
    fn start(&mut self, network: NetworkParams) -> Result<(), RouterError> {
        let params = self.params.as_ref().ok_or_else(|| RouterError::configuration("No router entity"))?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = params.id.clone().unwrap_or_else(|| generated_id(params.mode));
        let tenant = network.tenant_id.or_else(|| params.van_id.clone());
        let config = RouterConfig {
            id: id.clone(),
            mode: params.mode,
            default_treatment: params.default_distribution,
            network_id: network.network_id,
            tenant_id: tenant.clone(),
            timing: params.timing,
        };
        log_data_connections(params);
        log_start(&id, params.mode);
        let instance = i64::try_from(since_epoch.as_secs()).unwrap_or_default();
        let router = Arc::new(Router::new(config, random::seed(), instance, now()));
        log_core(&id, params.mode);
        let io = Io::new(Arc::clone(&router), self.handle.clone(), params.worker_threads);
        io.start();
        governor::set_ceiling();
        io.spawn("governor", governor::run(io.clone()));
        self.engine = Some(Engine { io, router, tenant });
        Ok(())
    }

    fn engine(&self) -> Result<&Engine, RouterError> {
        self.engine.as_ref().ok_or_else(|| RouterError::configuration("The router has not started"))
    }

    fn mode(&self) -> Mode {
        self.params.as_ref().map(|p| p.mode).unwrap_or_default()
    }
}

impl Engine {
    /// A service address with the tenant's prefix (spec `tcp-adaptor.md` 2.8).
    fn service_address(&self, address: &str) -> String {
        match &self.tenant {
            Some(tenant) => format!("{tenant}/{address}"),
            None => address.to_owned(),
        }
    }
}

/// The time for everything that runs here.
#[must_use]
pub fn now() -> Instant {
    adaptors::clock::now()
}

/// Letters and digits behind the mode in a generated router id.
const GENERATED: usize = 15;

fn generated_id(mode: Mode) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = SecretRng::new(random::seed());
    let letter = |_| char::from(LETTERS[(rng.next_u64() % LETTERS.len() as u64) as usize]);
    let random: String = (0..GENERATED).map(letter).collect();
    format!("{}_{random}", mode_name(mode))
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Standalone => "Standalone",
        Mode::Interior => "Interior",
        Mode::Edge => "Edge",
    }
}

fn log_data_connections(params: &RouterParams) {
    let (how, count) = match params.data_connections {
        DataConnections::Count(count) => ("set to", count as usize),
        DataConnections::Auto => ("calculated at", params.worker_threads.div_ceil(2)),
    };
    router_engine::log!(LogModule::Router, Level::Info, "Inter-router data connections {how} {count}");
}

/// The known words for it, although no thread runs the core.
fn log_core(id: &str, mode: Mode) {
    router_engine::log!(LogModule::RouterCore, Level::Info, "Router Core thread running. 0/{id}");
    for adaptor in ["amqp", "tcp"] {
        router_engine::log!(LogModule::RouterCore, Level::Info, "Protocol adaptor registered: {adaptor}");
    }
    for part in core_parts(mode) {
        router_engine::log!(LogModule::RouterCore, Level::Info, "Core module enabled: {part}");
    }
}

/// Parts of the core at work in a mode, by the names that are known of them.
const fn core_parts(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Interior => &["mobile_sync", "streaming_link_scrubber"],
        Mode::Standalone | Mode::Edge => &["streaming_link_scrubber"],
    }
}

fn log_start(id: &str, mode: Mode) {
    router_engine::log!(LogModule::Server, Level::Info, "Container Name: {id}");
    let place = if mode == Mode::Interior { format!(", area=0 id={id}") } else { String::new() };
    router_engine::log!(LogModule::Router, Level::Info, "Router started in {} mode{place}", mode_name(mode));
    router_engine::log!(LogModule::Router, Level::Info, "Version: {}", router_engine::VERSION);
}
