//! What runs because of the configuration: the core, its adaptors, and the entities by type and name.
//!
//! A configuration file and management requests come here by the same way: [`Runtime::create`] and
//! [`Runtime::delete`].

mod convert;

use crate::config::EntityConfig;
use crate::error::{ErrorClass, RouterError};
use crate::log::{TimeFormat, logger};
use crate::params::{
    AddressParams, ConnectorParams, DataConnections, ListenerParams, LogParams, NetworkParams, RouterParams,
    SslProfileParams, TcpConnectorParams, TcpListenerParams,
};
use crate::schema::EntityType;
use adaptors::amqp::{Connector, Listener};
use adaptors::runtime::Io;
use adaptors::tcp::{TcpConnector, TcpListener};
use adaptors::tls::TlsProfile;
use parking_lot::Mutex;
use router_engine::Router;
use router_engine::core::{AddressConfig, RouterConfig};
use router_engine::log::{Level, LogModule};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The running router and its entities. See the module documentation.
#[derive(Debug)]
pub struct Runtime {
    io: Io,
    handle: tokio::runtime::Handle,
    params: RouterParams,
    tenant: Option<String>,
    entities: Mutex<Entities>,
}

/// Entities that were created, by [`key`].
#[derive(Debug, Default)]
pub struct Entities {
    /// sslProfile
    pub profiles: HashMap<String, SslProfileParams>,
    /// listener
    pub listeners: HashMap<String, Listener>,
    /// connector
    pub connectors: HashMap<String, Connector>,
    /// tcpListener
    pub tcp_listeners: HashMap<String, TcpListener>,
    /// tcpConnector
    pub tcp_connectors: HashMap<String, TcpConnector>,
    /// router.config.address: patterns by name
    pub addresses: HashMap<String, AddressParams>,
}

// === impl Runtime ===

impl Runtime {
    /// Builds the core from the router and network entities of a configuration, and the adaptors on
    /// the executor `handle`. `id` is used when the configuration names none.
    ///
    /// # Errors
    /// When a value of these entities is not valid.
    pub fn new(entities: &[EntityConfig], id: &str, handle: tokio::runtime::Handle) -> Result<Self, RouterError> {
        let params = Self::router_params(entities)?;
        let network = match entities.iter().find(|e| e.ty == EntityType::Network) {
            Some(entity) => NetworkParams::try_from(entity)?,
            None => NetworkParams::default(),
        };
        logger().set_time(TimeFormat::new(params.timestamp_format.as_deref(), params.timestamps_in_utc));
        let tenant = network.tenant_id.clone().or_else(|| params.van_id.clone());
        let config = RouterConfig {
            id: params.id.clone().unwrap_or_else(|| id.to_owned()),
            mode: params.mode,
            default_treatment: params.default_distribution,
            network_id: network.network_id,
            tenant_id: tenant.clone(),
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let instance = i64::try_from(since_epoch.as_secs()).unwrap_or_default();
        // Names must not repeat those of an earlier run of this router.
        let seed = since_epoch.as_nanos() as u64 ^ (u64::from(std::process::id()) << 40);
        let router = Arc::new(Router::new(config, seed, instance, adaptors::clock::now()));
        let io = Io::new(router, handle.clone(), params.worker_threads);
        Ok(Self { io, handle, params, tenant, entities: Mutex::default() })
    }

    /// The parameters of the router entity.
    ///
    /// # Errors
    /// When there is none or a value is not valid.
    pub fn router_params(entities: &[EntityConfig]) -> Result<RouterParams, RouterError> {
        let entity = entities.iter().find(|e| e.ty == EntityType::Router);
        RouterParams::try_from(entity.ok_or_else(|| RouterError::configuration("No router entity"))?)
    }

    /// The core.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        self.io.router()
    }

    /// The adaptors.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The parameters of the router entity.
    #[must_use]
    pub fn params(&self) -> &RouterParams {
        &self.params
    }

    /// The entities. Hold the lock for a short time only.
    pub fn entities(&self) -> parking_lot::MutexGuard<'_, Entities> {
        self.entities.lock()
    }

    /// Creates an entity; listeners and connectors open their sockets with [`Self::activate`].
    ///
    /// # Errors
    /// When a value is not valid, something it refers to does not exist, or it exists already.
    pub fn create(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let _context = self.handle.enter();
        match entity.ty {
            EntityType::SslProfile => self.create_profile(entity),
            EntityType::Listener => self.create_listener(entity),
            EntityType::Connector => self.create_connector(entity),
            EntityType::TcpListener => self.create_tcp_listener(entity),
            EntityType::TcpConnector => self.create_tcp_connector(entity),
            EntityType::ConfigAddress => self.create_address(entity),
            EntityType::Log => logger().configure(&LogParams::try_from(entity)?),
            _ => Ok(()),
        }
    }

    /// Opens the socket of a listener, or begins to connect.
    ///
    /// # Errors
    /// When the listener's socket cannot be opened.
    pub fn activate(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let key = key(entity);
        match entity.ty {
            EntityType::Listener => {
                let Some(listener) = self.entities().listeners.get(&key).cloned() else { return Ok(()) };
                listener.activate().map_err(|error| RouterError::new(ErrorClass::RunTime, error.to_string()))
            }
            EntityType::Connector => {
                let connector = self.entities().connectors.get(&key).cloned();
                connector.iter().for_each(Connector::activate);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Deletes an entity by type and [`key`]. False when there is none.
    pub fn delete(&self, ty: EntityType, name: &str) -> bool {
        let drop_connections = self.params.drop_tcp_connections;
        let mut entities = self.entities();
        match ty {
            EntityType::SslProfile => entities.profiles.remove(name).is_some(),
            EntityType::Listener => entities.listeners.remove(name).map(|l| l.delete()).is_some(),
            EntityType::Connector => entities.connectors.remove(name).map(|c| c.delete()).is_some(),
            EntityType::TcpListener => {
                entities.tcp_listeners.remove(name).map(|l| l.delete(drop_connections)).is_some()
            }
            EntityType::TcpConnector => {
                entities.tcp_connectors.remove(name).map(|c| c.delete(drop_connections)).is_some()
            }
            EntityType::ConfigAddress => match entities.addresses.remove(name) {
                Some(params) => self.router().remove_address_config(&params.pattern).is_some(),
                None => false,
            },
            _ => false,
        }
    }

    fn create_profile(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let params = SslProfileParams::try_from(entity)?;
        router_engine::log!(LogModule::ConnMgr, Level::Info, "Created SSL Profile with name {}", params.name);
        self.entities().profiles.insert(params.name.clone(), params);
        Ok(())
    }

    /// The TLS profile of a listener or connector.
    fn profile(&self, name: Option<&String>) -> Result<Option<TlsProfile>, RouterError> {
        let Some(name) = name else { return Ok(None) };
        match self.entities().profiles.get(name) {
            Some(params) => convert::tls_profile(params).map(Some),
            None => Err(RouterError::not_found(format!("sslProfile '{name}' not found"))),
        }
    }

    fn create_listener(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let params = ListenerParams::try_from(entity)?;
        if params.http.is_some() {
            return Err(RouterError::configuration("HTTP listeners are not supported yet"));
        }
        let tls = self.profile(params.peer.ssl_profile.as_ref())?;
        let converted = convert::listener(params, tls)?;
        let listener = Listener::create(converted, &self.io).map_err(|e| RouterError::configuration(e.to_string()))?;
        self.entities().listeners.insert(key(entity), listener);
        Ok(())
    }

    fn create_connector(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let params = ConnectorParams::try_from(entity)?;
        let tls = self.profile(params.peer.ssl_profile.as_ref())?;
        let data = match self.params.data_connections {
            DataConnections::Auto => adaptors::amqp::DataConnections::Auto,
            DataConnections::Count(count) => adaptors::amqp::DataConnections::Count(count),
        };
        let converted = convert::connector(params, tls, data)?;
        let connector =
            Connector::create(converted, &self.io).map_err(|e| RouterError::configuration(e.to_string()))?;
        self.entities().connectors.insert(key(entity), connector);
        Ok(())
    }

    fn create_tcp_listener(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let params = TcpListenerParams::try_from(entity)?;
        let tls = self.profile(params.ssl_profile.as_ref())?;
        let Some(address) = &params.address else {
            return Err(RouterError::configuration("multi-address listeners are not supported yet"));
        };
        let converted = adaptors::tcp::TcpListenerParams {
            name: params.name.clone(),
            address: self.service_address(address),
            host: params.host,
            port: params.port,
            backlog: u32::try_from(params.backlog).unwrap_or(0),
            strategy: adaptors::tcp::Strategy::None,
            tls,
            authenticate_peer: params.authenticate_peer,
        };
        let listener = TcpListener::start(converted, self.router())
            .map_err(|error| RouterError::configuration(error.to_string()))?;
        self.entities().tcp_listeners.insert(key(entity), listener);
        Ok(())
    }

    fn create_tcp_connector(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let params = TcpConnectorParams::try_from(entity)?;
        let tls = self.profile(params.ssl_profile.as_ref())?;
        let converted = adaptors::tcp::TcpConnectorParams {
            name: params.name.clone(),
            address: self.service_address(&params.address),
            host: params.host,
            port: params.port,
            tls,
            verify_hostname: params.verify_hostname,
        };
        let connector = TcpConnector::start(converted, self.router())
            .map_err(|error| RouterError::configuration(error.to_string()))?;
        self.entities().tcp_connectors.insert(key(entity), connector);
        Ok(())
    }

    fn service_address(&self, address: &str) -> String {
        match &self.tenant {
            Some(tenant) => format!("{tenant}/{address}"),
            None => address.to_owned(),
        }
    }

    fn create_address(&self, entity: &EntityConfig) -> Result<(), RouterError> {
        let name = entity.attributes.text("name").map(str::to_owned);
        let params = AddressParams::from_body(name.as_deref(), &entity.attributes.clone().into_map())
            .map_err(RouterError::configuration)?;
        let config = AddressConfig {
            treatment: params.distribution,
            priority: u8::try_from(params.priority).ok(),
        };
        self.router()
            .add_address_config(&params.pattern, config)
            .map_err(|_| RouterError::new(ErrorClass::AlreadyExists, "Already exists"))?;
        router_engine::log!(
            LogModule::ConnMgr,
            Level::Info,
            "Created address with {}={} and distribution={}",
            if params.is_prefix { "Prefix" } else { "Pattern" },
            params.pattern,
            convert::distribution_in_log(params.distribution)
        );
        self.entities().addresses.insert(key(entity), params);
        Ok(())
    }
}

/// What tells an entity from others of its type: the name, or where it listens or connects to.
#[must_use]
pub fn key(entity: &EntityConfig) -> String {
    let a = &entity.attributes;
    if let Some(name) = a.text("name").filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    match a.text("prefix").or(a.text("pattern")) {
        Some(pattern) => pattern.to_owned(),
        None => format!("{}:{}", a.text("host").unwrap_or_default(), a.text("port").unwrap_or_default()),
    }
}
