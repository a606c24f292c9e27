//! Entity types: names, inheritance, effective attributes and operations.

use super::attribute::Attribute;
use super::{PREFIX, address, amqp, base, logging, operational, policy, router, tcp};

/// The declaration of an entity type.
#[derive(Debug)]
pub struct EntityDef {
    /// The name without prefix.
    pub name: &'static str,
    /// The type it extends.
    pub extends: Option<EntityType>,
    /// There may be one entity of this type only.
    pub singleton: bool,
    /// Other entities refer to entities of this type by name.
    pub referential: bool,
    /// Own operations.
    pub operations: &'static [&'static str],
    /// What it is.
    pub description: &'static str,
    /// Own attributes.
    pub attributes: &'static [Attribute],
}

macro_rules! entity_types {
    ($($(#[$doc:meta])* $variant:ident => $def:path,)+) => {
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
        }
    };
}

entity_types! {
    /// Root of all types.
    Entity => base::ENTITY,
    /// The standard management node.
    AmqpManagement => base::AMQP_MANAGEMENT,
    /// The management node of the router.
    Management => base::MANAGEMENT,
    /// Base of what a configuration file may hold.
    ConfigurationEntity => base::CONFIGURATION_ENTITY,
    /// Base of live state.
    OperationalEntity => base::OPERATIONAL_ENTITY,
    /// Counters of the router.
    RouterMetrics => router::ROUTER_METRICS,
    /// The router.
    Router => router::ROUTER,
    /// Inter-network identity.
    Network => router::NETWORK,
    /// The site.
    Site => router::SITE,
    /// TLS settings.
    SslProfile => amqp::SSL_PROFILE,
    /// HTTP proxy settings.
    ProxyProfile => amqp::PROXY_PROFILE,
    /// AMQP listener.
    Listener => amqp::LISTENER,
    /// AMQP connector.
    Connector => amqp::CONNECTOR,
    /// TCP listener.
    TcpListener => tcp::TCP_LISTENER,
    /// TCP connector.
    TcpConnector => tcp::TCP_CONNECTOR,
    /// Address of a multi-address TCP listener.
    ListenerAddress => tcp::LISTENER_ADDRESS,
    /// Settings of a log module.
    Log => logging::LOG,
    /// Event counts of a log module.
    LogStats => logging::LOG_STATS,
    /// Address configuration.
    ConfigAddress => address::CONFIG_ADDRESS,
    /// Auto-link.
    AutoLink => address::AUTO_LINK,
    /// A link.
    Link => operational::LINK,
    /// An address.
    Address => address::ADDRESS,
    /// A router of the network.
    Node => operational::NODE,
    /// A connection.
    Connection => operational::CONNECTION,
    /// A TCP flow; never instantiated.
    TcpConnection => tcp::TCP_CONNECTION,
    /// A memory pool.
    Allocator => operational::ALLOCATOR,
    /// Router-wide policy.
    Policy => policy::POLICY,
    /// Policy of a virtual host.
    Vhost => policy::VHOST,
    /// Shape of a user group of a vhost.
    VhostUserGroupSettings => policy::VHOST_USER_GROUP_SETTINGS,
    /// Counters of a virtual host.
    VhostStats => policy::VHOST_STATS,
    /// For tests of clients.
    Dummy => base::DUMMY,
}

// === impl EntityType ===

impl EntityType {
    /// The type of that name, full or without prefix.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let find = |name: &str| Self::ALL.iter().copied().find(|t| t.short() == name);
        find(name).or_else(|| find(name.strip_prefix(PREFIX)?.strip_prefix('.')?))
    }

    /// The type with exactly that full name.
    #[must_use]
    pub fn parse_full(name: &str) -> Option<Self> {
        let short = name.strip_prefix(PREFIX)?.strip_prefix('.')?;
        Self::ALL.iter().copied().find(|t| t.short() == short)
    }

    /// The name without prefix.
    #[must_use]
    pub const fn short(self) -> &'static str {
        self.def().name
    }

    /// The full name.
    #[must_use]
    pub fn full(self) -> String {
        format!("{PREFIX}.{}", self.short())
    }

    /// What identities of this type begin with; a slash follows. Also the key in schema listings.
    #[must_use]
    pub fn identity_prefix(self) -> &'static str {
        self.short().strip_prefix("router.config.").unwrap_or(self.short())
    }

    /// The type and its bases, nearest first.
    pub fn lineage(self) -> impl Iterator<Item = Self> + Clone {
        std::iter::successors(Some(self), |t| t.def().extends)
    }

    /// The bases, nearest first.
    pub fn bases(self) -> impl Iterator<Item = Self> + Clone {
        self.lineage().skip(1)
    }

    /// Whether this is the other type or extends it.
    #[must_use]
    pub fn is_a(self, other: Self) -> bool {
        self.lineage().any(|t| t == other)
    }

    /// Effective attributes: own, then those of the bases.
    pub fn attributes(self) -> impl Iterator<Item = &'static Attribute> + Clone {
        self.lineage().flat_map(|t| t.def().attributes)
    }

    /// The attribute of that name.
    #[must_use]
    pub fn attribute(self, name: &str) -> Option<&'static Attribute> {
        self.attributes().find(|a| a.name == name)
    }

    /// Effective operations: own, then those of the bases.
    pub fn operations(self) -> impl Iterator<Item = &'static str> + Clone {
        self.lineage().flat_map(|t| t.def().operations.iter().copied())
    }

    /// Whether the operation, in upper case, is offered.
    #[must_use]
    pub fn offers(self, operation: &str) -> bool {
        self.operations().any(|o| o == operation)
    }
}

impl std::fmt::Display for EntityType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}.{}", self.short())
    }
}
