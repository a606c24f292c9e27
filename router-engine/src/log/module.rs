//! The modules under which events are logged.

/// A log module (spec `amqp-endpoint.md` 23.2), in the order of the `log` entity's enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LogModule {
    /// The router as a whole: start, stop, mode.
    Router,
    /// Routing core.
    RouterCore,
    /// Neighbour discovery.
    RouterHello,
    /// Link state.
    RouterLs,
    /// Mobile address synchronisation.
    RouterMa,
    /// Message contents (`messageLoggingComponents`).
    Message,
    /// Sockets and connections.
    Server,
    /// Management.
    Agent,
    /// AMQP container: sessions and links.
    Container,
    /// Internal errors as they arise.
    Error,
    /// Policy decisions.
    Policy,
    /// HTTP listeners.
    Http,
    /// Configuration of listeners, connectors, profiles, addresses.
    ConnMgr,
    /// Kept for compatibility of names.
    Python,
    /// AMQP frame trace.
    Protocol,
    /// TCP adaptor.
    TcpAdaptor,
    /// HTTP adaptor.
    HttpAdaptor,
    /// VanFlow records.
    FlowLog,
    /// Address watches.
    AddressWatch,
    /// HTTP/1 observer.
    Http1Observer,
    /// HTTP/2 observer.
    Http2Observer,
    /// HTTP/2 decoder.
    Http2Decoder,
    /// Settings for modules that have none of their own; nothing logs under it.
    Default,
}

/// How many modules there are.
pub const MODULES: usize = 23;

// === impl LogModule ===

impl LogModule {
    /// All modules in order.
    pub const ALL: [Self; MODULES] = [
        Self::Router,
        Self::RouterCore,
        Self::RouterHello,
        Self::RouterLs,
        Self::RouterMa,
        Self::Message,
        Self::Server,
        Self::Agent,
        Self::Container,
        Self::Error,
        Self::Policy,
        Self::Http,
        Self::ConnMgr,
        Self::Python,
        Self::Protocol,
        Self::TcpAdaptor,
        Self::HttpAdaptor,
        Self::FlowLog,
        Self::AddressWatch,
        Self::Http1Observer,
        Self::Http2Observer,
        Self::Http2Decoder,
        Self::Default,
    ];

    /// The name in log lines and in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Router => "ROUTER",
            Self::RouterCore => "ROUTER_CORE",
            Self::RouterHello => "ROUTER_HELLO",
            Self::RouterLs => "ROUTER_LS",
            Self::RouterMa => "ROUTER_MA",
            Self::Message => "MESSAGE",
            Self::Server => "SERVER",
            Self::Agent => "AGENT",
            Self::Container => "CONTAINER",
            Self::Error => "ERROR",
            Self::Policy => "POLICY",
            Self::Http => "HTTP",
            Self::ConnMgr => "CONN_MGR",
            Self::Python => "PYTHON",
            Self::Protocol => "PROTOCOL",
            Self::TcpAdaptor => "TCP_ADAPTOR",
            Self::HttpAdaptor => "HTTP_ADAPTOR",
            Self::FlowLog => "FLOW_LOG",
            Self::AddressWatch => "ADDRESS_WATCH",
            Self::Http1Observer => "HTTP1_OBSERVER",
            Self::Http2Observer => "HTTP2_OBSERVER",
            Self::Http2Decoder => "HTTP2_DECODER",
            Self::Default => "DEFAULT",
        }
    }

    /// The module of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }
}
