//! A room for each kind of entity: its schema, its parameters, its identity, when it is made, and what the router does
//! with it.
//!
//! ```text
//!  config, agent ---> EntityType ---> dyn EntityKind (a room) ---> Runtime: adaptors, core
//!                     (the table)     create, update, delete,
//!                          |          live attributes, rows of a table
//!                          '------> EntityDef: schema, identity, boot rank
//! ```
//!
//! A new kind of entity is a module here with its `mod` line, and a line in the table below, whose order is that of the
//! schema. Attributes are only known to the room of their kind.

mod address;
pub(crate) mod allocator;
mod auto_link;
mod base;
mod column;
pub(crate) mod config_address;
mod connection;
mod connector;
mod dummy;
mod endpoint;
mod health;
mod http;
mod http_connector;
mod http_listener;
mod http_request_info;
mod link;
mod listener;
mod listener_address;
pub(crate) mod log;
pub(crate) mod log_stats;
mod management;
pub(crate) mod needs;
mod network;
pub(crate) mod node;
pub(crate) mod numbered;
mod policy;
mod proxy_profile;
mod refusal;
pub(crate) mod router;
pub(crate) mod router_metrics;
mod service;
mod site;
pub(crate) mod ssl_profile;
pub(crate) mod table;
mod tcp;
mod tcp_connection;
mod tcp_connector;
mod tcp_listener;
mod vhost;
mod vhost_stats;

#[cfg(test)]
pub(crate) mod testing;

use crate::agent::Failure;
use crate::attributes::Attributes;
use crate::config::{EntityConfig, SetError};
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::schema::EntityDef;
use needs::Needs;
use numbered::Copied;
use table::Table;

pub(crate) use ssl_profile::read as tls_profile;

/// What the router does with one kind of entity, beside keeping it as it is declared.
pub(crate) trait EntityKind: Sync {
    /// Why a router of that mode cannot have the entity, which is checked before anything else of it. `show`: how it
    /// looks in the text.
    fn misplaced(&self, _attributes: &Attributes, _mode: &str, _show: &dyn Fn() -> String) -> Option<SetError> {
        None
    }

    /// What the schema cannot express of a new entity and that does not depend on others.
    ///
    /// # Errors
    /// The first rule that is broken.
    fn check(&self, _attributes: &Attributes) -> Result<(), Failure> {
        Ok(())
    }

    /// What an entity of a file needs beside itself.
    ///
    /// # Errors
    /// What is refused of it whatever else there is.
    fn needs(&self, _attributes: &Attributes) -> Result<Needs, RouterError> {
        Ok(Needs::default())
    }

    /// Makes what an entity stands for.
    ///
    /// # Errors
    /// When a subsystem refuses; then nothing was made.
    fn create(&self, _runtime: &mut Runtime, _entity: &EntityConfig) -> Result<(), RouterError> {
        Ok(())
    }

    /// Applies changed attributes.
    ///
    /// # Errors
    /// When a subsystem refuses; then nothing has changed.
    fn update(&self, _runtime: &mut Runtime, _entity: &EntityConfig) -> Result<(), RouterError> {
        Ok(())
    }

    /// Removes what an entity stands for.
    ///
    /// # Errors
    /// When a subsystem refuses; then it stays.
    fn delete(&self, _runtime: &mut Runtime, _entity: &EntityConfig) -> Result<(), RouterError> {
        Ok(())
    }

    /// Live attributes, shown over the configured ones.
    fn live(&self, _runtime: &Runtime, _entity: &EntityConfig) -> Attributes {
        Attributes::new()
    }

    /// The entities that are there now, of a kind whose entities come and go by themselves. Without name and identity.
    fn instances(&self, _runtime: &Runtime) -> Vec<Attributes> {
        Vec::new()
    }

    /// The table of the core that shows the entities.
    fn table(&self) -> Option<&'static dyn Table> {
        None
    }

    /// Set where entities that the agent keeps are only copies of what the core has numbers for.
    fn copied(&self) -> Option<&'static dyn Copied> {
        None
    }
}

/// A kind of which the router has the declaration only.
struct Plain;

impl EntityKind for Plain {}

macro_rules! entity_types {
    ($($(#[$doc:meta])* $variant:ident => $def:path, $kind:path;)+) => {
        /// Every entity type, in the order of the schema.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EntityType {
            $($(#[$doc])* $variant,)+
        }

        impl EntityType {
            /// All types in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The declaration.
            #[must_use]
            pub const fn def(self) -> &'static EntityDef {
                match self {
                    $(Self::$variant => &$def,)+
                }
            }

            /// What the router does with entities of this type.
            pub(crate) fn kind(self) -> &'static dyn EntityKind {
                match self {
                    $(Self::$variant => &$kind,)+
                }
            }
        }
    };
}

entity_types! {
    /// Root of all types.
    Entity => base::ENTITY, Plain;
    /// The standard management node.
    AmqpManagement => base::AMQP_MANAGEMENT, Plain;
    /// The management node of the router.
    Management => management::DEF, Plain;
    /// Base of what a configuration file may hold.
    ConfigurationEntity => base::CONFIGURATION_ENTITY, Plain;
    /// Base of live state.
    OperationalEntity => base::OPERATIONAL_ENTITY, Plain;
    /// Counters of the router.
    RouterMetrics => router_metrics::DEF, router_metrics::Kind;
    /// The router.
    Router => router::DEF, router::Kind;
    /// Inter-network identity.
    Network => network::DEF, network::Kind;
    /// The site.
    Site => site::DEF, site::Kind;
    /// TLS settings.
    SslProfile => ssl_profile::DEF, ssl_profile::Kind;
    /// HTTP proxy settings.
    ProxyProfile => proxy_profile::DEF, proxy_profile::Kind;
    /// AMQP listener.
    Listener => listener::DEF, listener::Kind;
    /// AMQP connector.
    Connector => connector::DEF, connector::Kind;
    /// TCP listener.
    TcpListener => tcp_listener::DEF, tcp_listener::Kind;
    /// TCP connector.
    TcpConnector => tcp_connector::DEF, tcp_connector::Kind;
    /// Address of a multi-address TCP listener.
    ListenerAddress => listener_address::DEF, listener_address::Kind;
    /// Settings of a log module.
    Log => log::DEF, log::Kind;
    /// Event counts of a log module.
    LogStats => log_stats::DEF, log_stats::Kind;
    /// Address configuration.
    ConfigAddress => config_address::DEF, config_address::Kind;
    /// Auto-link.
    AutoLink => auto_link::DEF, auto_link::Kind;
    /// A link.
    Link => link::DEF, link::Kind;
    /// An address.
    Address => address::DEF, address::Kind;
    /// A router of the network.
    Node => node::DEF, node::Kind;
    /// A connection.
    Connection => connection::DEF, connection::Kind;
    /// A TCP flow; never instantiated.
    TcpConnection => tcp_connection::DEF, Plain;
    /// A memory pool.
    Allocator => allocator::DEF, allocator::Kind;
    /// Router-wide policy.
    Policy => policy::DEF, policy::Kind;
    /// Policy of a virtual host.
    Vhost => vhost::DEF, vhost::Kind;
    /// Shape of a user group of a vhost.
    VhostUserGroupSettings => vhost::group::SETTINGS, Plain;
    /// Counters of a virtual host.
    VhostStats => vhost_stats::DEF, vhost_stats::Kind;
    /// For tests of clients.
    Dummy => dummy::DEF, Plain;
    /// HTTP listener.
    HttpListener => http_listener::DEF, http_listener::Kind;
    /// HTTP connector.
    HttpConnector => http_connector::DEF, http_connector::Kind;
    /// Counters of HTTP requests.
    HttpRequestInfo => http_request_info::DEF, http_request_info::Kind;
}
