//! Creating, changing and deleting what entities stand for.

use super::{Boot, Entities, OpenConnector, OpenListener, OpenTcpConnector, OpenTcpListener, Runtime, convert};
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::params::{
    ConnectorParams, DataConnections, ListenerAddressParams, ListenerParams, MultiAddressStrategy, ProxyProfileParams,
    SslProfileParams, TcpConnectorParams, TcpListenerParams,
};
use adaptors::amqp::{Connector, Listener};
use adaptors::sasl::SaslConfig;
use adaptors::tcp::{TcpConnector, TcpListener};
use adaptors::tls::secret::os_text;
use adaptors::tls::{TlsConfigError, TlsProfile, TlsUpdate};
use router_engine::log::{Level, LogModule};
use std::time::Duration;
use std::{fs, io};

/// Why an entity was not created; how that is logged differs.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its attributes make no sense.
    Plain(RouterError),
    /// There is no TLS profile of that name.
    NoProfile(RouterError),
    /// The TLS profile is of no use, as the adaptor has logged already.
    Tls(RouterError),
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn into_error(self) -> RouterError {
        match self {
            Self::Plain(error) | Self::NoProfile(error) | Self::Tls(error) => error,
        }
    }
}

impl From<RouterError> for Refusal {
    fn from(error: RouterError) -> Self {
        Self::Plain(error)
    }
}

impl From<TlsConfigError> for Refusal {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(tls_error(error))
    }
}

/// How long a request waits for the host of a listener: ordinary names are found at once, so that the socket is open
/// when the answer comes. Slow ones hold nobody up; their sockets are opened later.
const ORDINARY_LOOKUP: Duration = Duration::from_millis(100);

/// The key of an entity in the tables.
pub(super) fn key(entity: &EntityConfig) -> String {
    entity.attributes.text("identity").unwrap_or_default().to_owned()
}

// === impl Runtime ===

impl Runtime {
    pub(super) fn create_profile(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let made = SslProfileParams::try_from(entity).and_then(|params| {
            // Only the password is looked at now: files are read by whoever uses the profile. But a router does not
            // start with a configuration file that names what cannot be read.
            match self.boot {
                Boot::First => convert::tls_profile(&params)?,
                Boot::Failed | Boot::Done => convert::profile_without_names(&params)?,
            };
            Ok(params)
        });
        let params = made.inspect_err(|error| {
            let name = entity.attributes.text("name").unwrap_or_default();
            let text = "Unable to create sslProfile";
            router_engine::log!(LogModule::Agent, Level::Error, "{text} '{name}': {error}");
        })?;
        router_engine::log!(LogModule::Agent, Level::Info, "Created sslProfile {}", params.name);
        self.entities.profiles.insert(params.name.clone(), params);
        Ok(())
    }

    /// New values of a profile. They are loaded for all that use it before the first of these is switched to them.
    pub(super) fn update_profile(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let name = entity.attributes.text("name").unwrap_or_default().to_owned();
        let read = if self.is_used(&name) { convert::tls_profile } else { convert::profile_without_names };
        let made = SslProfileParams::try_from(entity).and_then(|params| Ok((read(&params)?, params)));
        let (profile, params) = made.inspect_err(|error| {
            router_engine::log!(LogModule::Agent, Level::Error, "Unable to update sslProfile '{name}': {error}");
        })?;
        let prepared = self.prepare_users(&name, &profile).and_then(|updates| {
            // Files that nobody uses yet are not loaded, but they have to be there.
            check_files(&params, self.entities.profiles.get(&name))?;
            Ok(updates)
        });
        let updates = prepared.inspect_err(|error| {
            router_engine::log!(LogModule::Agent, Level::Error, "Failed to update sslProfile '{name}': {error}");
        })?;
        updates.into_iter().for_each(TlsUpdate::apply);
        router_engine::log!(LogModule::Agent, Level::Info, "Updated sslProfile {name}");
        self.entities.profiles.insert(name, params);
        Ok(())
    }

    fn is_used(&self, profile: &str) -> bool {
        let entities = &self.entities;
        let listeners = entities.listeners.values().map(|l| &l.ssl_profile);
        let connectors = entities.connectors.values().map(|c| &c.ssl_profile);
        let tcp_listeners = entities.tcp_listeners.values().map(|l| &l.params.ssl_profile);
        let tcp_connectors = entities.tcp_connectors.values().map(|c| &c.params.ssl_profile);
        let mut used = listeners.chain(connectors).chain(tcp_listeners).chain(tcp_connectors);
        used.any(|used| used.as_deref() == Some(profile))
    }

    /// Loads a profile for everything that uses it.
    fn prepare_users(&self, name: &str, profile: &TlsProfile) -> Result<Vec<TlsUpdate>, RouterError> {
        let uses = |used: &Option<String>| used.as_deref() == Some(name);
        let Entities { listeners, connectors, tcp_listeners, tcp_connectors, .. } = &self.entities;
        let listeners = listeners.values().filter(|l| uses(&l.ssl_profile)).map(|l| l.listener.prepare_tls(profile));
        let connectors = connectors.values().filter(|c| uses(&c.ssl_profile)).map(|c| c.connector.prepare_tls(profile));
        let tcp_listeners = tcp_listeners.values().filter(|l| uses(&l.params.ssl_profile));
        let tcp_connectors = tcp_connectors.values().filter(|c| uses(&c.params.ssl_profile));
        listeners
            .chain(connectors)
            .chain(tcp_listeners.map(|l| l.listener.prepare_tls(profile)))
            .chain(tcp_connectors.map(|c| c.connector.prepare_tls(profile)))
            .collect::<Result<_, _>>()
            .map_err(tls_error)
    }

    pub(super) fn delete_profile(&mut self, name: &str) {
        self.entities.profiles.remove(name);
        router_engine::log!(LogModule::Agent, Level::Info, "Deleted sslProfile {name}");
    }

    pub(super) fn create_proxy(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        self.set_proxy(entity, "create", "Created")
    }

    pub(super) fn update_proxy(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        self.set_proxy(entity, "update", "Updated")
    }

    fn set_proxy(&mut self, entity: &EntityConfig, what: &str, done: &str) -> Result<(), RouterError> {
        let params = ProxyProfileParams::try_from(entity).inspect_err(|error| {
            let name = entity.attributes.text("name").unwrap_or_default();
            router_engine::log!(LogModule::Agent, Level::Error, "Unable to {what} proxyProfile '{name}': {error}");
        })?;
        router_engine::log!(LogModule::Agent, Level::Info, "{done} proxyProfile {}", params.name);
        self.entities.proxies.insert(params.name.clone(), params);
        Ok(())
    }

    pub(super) fn delete_proxy(&mut self, name: &str) {
        self.entities.proxies.remove(name);
        router_engine::log!(LogModule::Agent, Level::Info, "Deleted proxyProfile {name}");
    }

    /// The TLS profile of a listener or connector.
    fn profile(&self, name: Option<&String>) -> Result<Option<TlsProfile>, Refusal> {
        let Some(name) = name else { return Ok(None) };
        match self.entities.profiles.get(name) {
            Some(params) => Ok(Some(convert::tls_profile(params)?)),
            None => Err(Refusal::NoProfile(RouterError::not_found(format!("sslProfile '{name}' not found")))),
        }
    }

    /// The SASL configuration that the router entity names.
    fn sasl(&self) -> SaslConfig {
        match &self.params {
            Some(params) => SaslConfig::load(params.sasl_config_dir.as_deref(), &params.sasl_config_name),
            None => SaslConfig::load(None, "skrouterd"),
        }
    }

    pub(super) fn create_listener(&mut self, entity: &EntityConfig) -> Result<(), Refusal> {
        let params = ListenerParams::try_from(entity)?;
        let tls = self.profile(params.peer.ssl_profile.as_ref())?;
        if params.http.is_some() {
            router_engine::log!(
                LogModule::Http,
                Level::Error,
                "HTTP listeners are not supported yet: {} stays closed",
                params.peer.host_port()
            );
            return Ok(());
        }
        let (address, ssl_profile) = (params.peer.host_port(), params.peer.ssl_profile.clone());
        let sasl = self.sasl();
        let listener = Listener::create(convert::listener(params, tls, &sasl)?, &self.engine()?.io)?;
        self.retry_listeners();
        let required = self.boot == Boot::First;
        listener.start();
        // A router needs its first listener; the others open when they can.
        let started = listener.wait_started(if required { None } else { Some(ORDINARY_LOOKUP) });
        if required {
            let failed = matches!(started, Some(Err(_)));
            self.boot = if failed { Boot::Failed } else { Boot::Done };
            if failed {
                let text = "Shutting down, required listener failed";
                router_engine::log!(LogModule::Server, Level::Critical, "{text} {address}");
            }
        }
        self.entities.listeners.insert(key(entity), OpenListener { listener, ssl_profile });
        Ok(())
    }

    /// Has listeners that could not open their sockets try again now.
    fn retry_listeners(&self) {
        self.entities.listeners.values().for_each(|open| open.listener.start());
    }

    pub(super) fn create_connector(&mut self, entity: &EntityConfig) -> Result<(), Refusal> {
        let params = ConnectorParams::try_from(entity)?;
        let tls = self.profile(params.peer.ssl_profile.as_ref())?;
        if let Some(proxy) = &params.proxy_profile {
            if !self.entities.proxies.contains_key(proxy) {
                return Err(RouterError::not_found(format!("proxyProfile '{proxy}' not found")).into());
            }
            router_engine::log!(
                LogModule::ConnMgr,
                Level::Error,
                "Proxies are not supported yet: connector {} connects directly",
                params.peer.name
            );
        }
        let data = match self.params.as_ref().map(|p| p.data_connections) {
            Some(DataConnections::Count(count)) => adaptors::amqp::DataConnections::Count(count),
            _ => adaptors::amqp::DataConnections::Auto,
        };
        let ssl_profile = params.peer.ssl_profile.clone();
        let connector = Connector::create(convert::connector(params, tls, data)?, &self.engine()?.io)?;
        connector.activate();
        if self.boot == Boot::First {
            self.boot = Boot::Done;
        }
        self.entities.connectors.insert(key(entity), OpenConnector { connector, ssl_profile });
        Ok(())
    }

    pub(super) fn create_tcp_listener(&mut self, entity: &EntityConfig) -> Result<(), Refusal> {
        let params = TcpListenerParams::try_from(entity)?;
        let tls = self.profile(params.ssl_profile.as_ref())?;
        let engine = self.engine()?;
        let address = params.address.as_deref().map(|a| engine.service_address(a)).unwrap_or_default();
        let listener = TcpListener::create(convert::tcp_listener(&params, address, tls), &engine.io)?;
        listener.activate();
        self.entities.tcp_listeners.insert(key(entity), OpenTcpListener { listener, params });
        Ok(())
    }

    pub(super) fn create_tcp_connector(&mut self, entity: &EntityConfig) -> Result<(), Refusal> {
        let params = TcpConnectorParams::try_from(entity)?;
        let tls = self.profile(params.ssl_profile.as_ref())?;
        let engine = self.engine()?;
        let address = engine.service_address(&params.address);
        let connector = TcpConnector::create(convert::tcp_connector(&params, address, tls), &engine.io)?;
        connector.activate();
        self.entities.tcp_connectors.insert(key(entity), OpenTcpConnector { connector, params });
        Ok(())
    }

    pub(super) fn create_listener_address(&mut self, entity: &EntityConfig) -> Result<(), Refusal> {
        let params = ListenerAddressParams::try_from(entity)?;
        let listener = &params.listener;
        let Some(open) = self.entities.tcp_listeners.values().find(|l| l.params.name == *listener) else {
            return Err(RouterError::value(format!("Listener for new address does not exist {listener}")).into());
        };
        if open.params.strategy == MultiAddressStrategy::None {
            let text = format!("Must not assign new address to non multi-address listener {listener}");
            return Err(RouterError::value(text).into());
        }
        open.listener.add_address(&params.name, &params.address, params.value);
        self.entities.listener_addresses.insert(key(entity), params);
        Ok(())
    }

    pub(super) fn delete_listener_address(&mut self, entity: &EntityConfig) {
        let Some(params) = self.entities.listener_addresses.remove(&key(entity)) else { return };
        if let Some(open) = self.entities.tcp_listeners.values().find(|l| l.params.name == params.listener) {
            open.listener.remove_address(&params.name);
        }
    }

    pub(super) fn delete_listener(&mut self, entity: &EntityConfig) {
        if let Some(open) = self.entities.listeners.remove(&key(entity)) {
            open.listener.delete();
        }
    }

    pub(super) fn delete_connector(&mut self, entity: &EntityConfig) {
        if let Some(open) = self.entities.connectors.remove(&key(entity)) {
            open.connector.delete();
        }
    }

    pub(super) fn delete_tcp_listener(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let key = key(entity);
        if let Some(name) = self.entities.tcp_listeners.get(&key).map(|l| &l.params.name)
            && self.entities.listener_addresses.values().any(|a| a.listener == *name)
        {
            let text = format!("listenerAddress entities exist for  multi-address listener {name}");
            return Err(RouterError::value(text));
        }
        let drop_connections = self.drops_connections();
        if let Some(open) = self.entities.tcp_listeners.remove(&key) {
            open.listener.delete(drop_connections);
        }
        Ok(())
    }

    pub(super) fn delete_tcp_connector(&mut self, entity: &EntityConfig) {
        let drop_connections = self.drops_connections();
        if let Some(open) = self.entities.tcp_connectors.remove(&key(entity)) {
            open.connector.delete(drop_connections);
        }
    }

    fn drops_connections(&self) -> bool {
        self.params.as_ref().is_none_or(|p| p.drop_tcp_connections)
    }
}

/// Whether the files that a profile names anew can be read.
fn check_files(new: &SslProfileParams, old: Option<&SslProfileParams>) -> Result<(), RouterError> {
    let files = |p: &SslProfileParams| [&p.ca_cert_file, &p.cert_file, &p.private_key_file].map(Clone::clone);
    let old = old.map(files).unwrap_or_default();
    for ((attribute, new), old) in ["caCertFile", "certFile", "privateKeyFile"].into_iter().zip(files(new)).zip(old) {
        if let Some(path) = new.filter(|new| Some(new) != old.as_ref())
            && let Err(error) = readable(&path)
        {
            let text = format!("Cannot read {attribute} '{path}': {}", os_text(&error));
            return Err(RouterError::configuration(text));
        }
    }
    Ok(())
}

fn readable(path: &str) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        fs::read_dir(path).map(drop)
    } else if found.is_file() {
        fs::File::open(path).map(drop)
    } else {
        Err(io::Error::other("Not a file"))
    }
}

/// What is wrong with a TLS profile is a matter of configuration.
#[allow(clippy::needless_pass_by_value, reason = "used with map_err")]
fn tls_error(error: TlsConfigError) -> RouterError {
    RouterError::configuration(error.to_string())
}
