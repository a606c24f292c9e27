//! What runs because of the configuration: the core, its adaptors, and what each entity stands for.
//!
//! A configuration file and management requests come here by the same way: [`Runtime`] is the
//! agent's [`Backend`](crate::agent::Backend).

mod backend;
mod governor;
pub(crate) mod objects;
mod usage;
mod waiting;

use crate::entity::router::{Settings, mode_name};
use crate::error::RouterError;
use crate::http::page::View;
use crate::log::logger;
use crate::vanflow::environment;
use adaptors::amqp::{DataConnections, ProxyProfiles};
use adaptors::random;
use adaptors::runtime::Io;
use adaptors::sasl::SaslConfig;
use amqp_core::Instant;
use objects::Objects;
use router_engine::Router;
use router_engine::core::{Mode, RouterConfig};
use router_engine::log::{Level, LogModule};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// The running router and what its entities stand for. See the module documentation.
pub struct Runtime {
    handle: Handle,
    /// What the router entity says, once it is there.
    pub(crate) settings: Option<Settings>,
    /// The core and its adaptors, once the network entity is there.
    engine: Option<Engine>,
    pub(crate) objects: Objects,
    /// The proxies, as connectors see them.
    pub(crate) proxies: ProxyProfiles,
    pub(crate) boot: Boot,
    /// Entities may wait for certificates that are not there.
    awaits_certificates: bool,
    waiting: Vec<waiting::Waiting>,
}

/// Whether the next listener has to listen: a router whose first way in does not open when it starts is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// No listener or connector was made yet.
    First,
    /// The first one was a listener, and it does not listen.
    Failed,
    /// The first one was made, or the start is over.
    Done,
}

/// The core and its adaptors.
pub(crate) struct Engine {
    pub(crate) io: Io,
    pub(crate) router: Arc<Router>,
    tenant: Option<String>,
    /// The page of HTTP listeners.
    pub(crate) view: Arc<View>,
}

// === impl Runtime ===

impl Runtime {
    /// Nothing runs yet: entities make it so. `handle` is the executor.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            settings: None,
            engine: None,
            objects: Objects::default(),
            proxies: ProxyProfiles::default(),
            boot: Boot::First,
            awaits_certificates: false,
            waiting: Vec::new(),
        }
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

    /// The router does without listeners that cannot open their socket, the first one included.
    pub fn spare_listeners(&mut self) {
        self.boot = Boot::Done;
    }

    /// Ends the start: from here on the router does without listeners that cannot open their socket. False: one
    /// that it cannot do without has failed before.
    #[must_use]
    pub fn finish_boot(&mut self) -> bool {
        self.awaits_certificates = false;
        std::mem::replace(&mut self.boot, Boot::Done) != Boot::Failed
    }

    /// Builds the core: the router entity came before.
    pub(crate) fn start(&mut self, network_id: Option<String>, tenant_id: Option<String>) -> Result<(), RouterError> {
        let settings = self.settings.as_ref().ok_or_else(|| RouterError::configuration("No router entity"))?;
        let tenant = tenant_id.or_else(|| settings.core.tenant_id.clone()).filter(|tenant| !tenant.is_empty());
        log_tenant(settings, tenant.as_deref());
        let config = RouterConfig { network_id, tenant_id: tenant.clone(), ..settings.core.clone() };
        let (id, mode) = (config.id.clone(), config.mode);
        log_data_connections(settings);
        log_start(&id, mode);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let instance = i64::try_from(since_epoch.as_secs()).unwrap_or_default();
        let router = Arc::new(Router::new(config, random::seed(), instance, now()));
        let records = environment::registry(&id, mode);
        logger().record(Arc::clone(&records));
        router.set_records(records);
        log_core(&id, mode);
        let io = Io::new(Arc::clone(&router), self.handle.clone(), settings.worker_threads);
        io.start();
        governor::set_ceiling();
        io.spawn("governor", governor::run(io.clone()));
        let view = Arc::new(View::new(io.clone()));
        self.engine = Some(Engine { io, router, tenant, view });
        Ok(())
    }

    /// The core and its adaptors, for what cannot be without them.
    pub(crate) fn engine(&self) -> Result<&Engine, RouterError> {
        self.engine.as_ref().ok_or_else(|| RouterError::configuration("The router has not started"))
    }

    /// The SASL configuration that the router entity names.
    pub(crate) fn sasl(&self) -> SaslConfig {
        match &self.settings {
            Some(settings) => SaslConfig::load(settings.sasl_config_dir.as_deref(), &settings.sasl_config_name),
            None => SaslConfig::load(None, "skrouterd"),
        }
    }

    /// Whether TCP flows are cut when their listener or connector is deleted.
    pub(crate) fn drops_connections(&self) -> bool {
        self.settings.as_ref().is_none_or(|settings| settings.drop_tcp_connections)
    }
}

impl Engine {
    /// A service address with the tenant's prefix (spec `tcp-adaptor.md` 2.8).
    pub(crate) fn service_address(&self, address: &str) -> String {
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

fn log_data_connections(settings: &Settings) {
    let (how, count) = match settings.data_connections {
        DataConnections::Count(count) => ("set to", count as usize),
        DataConnections::Auto => ("calculated at", settings.worker_threads.div_ceil(2)),
    };
    router_engine::log!(LogModule::Router, Level::Info, "Inter-router data connections {how} {count}");
}

fn log_tenant(settings: &Settings, tenant: Option<&str>) {
    if settings.core.tenant_id.is_some() {
        let advice = "The router attribute vanId is deprecated: use tenantId of the network entity";
        router_engine::log!(LogModule::Router, Level::Warning, "{advice}");
    }
    if let Some(tenant) = tenant {
        router_engine::log!(
            LogModule::Router,
            Level::Info,
            "Router is a member of Application Network Tenant: {tenant}"
        );
    }
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
