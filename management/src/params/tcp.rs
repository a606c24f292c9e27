//! Parameters of `tcpListener`, `tcpConnector` and `listenerAddress`.

use super::{owned, text};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;

/// How a tcpListener chooses among several addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiAddressStrategy {
    /// It has one address.
    None,
    /// The reachable one of the highest value.
    Priority,
    /// In proportion to the values.
    Weighted,
}

/// Which protocol to watch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observer {
    /// None.
    None,
    /// Whichever it turns out to be.
    Auto,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Parameters of a tcpListener.
#[derive(Debug, Clone)]
pub struct TcpListenerParams {
    /// The name, or the identity when none was given.
    pub name: String,
    /// The service address; `None` when the strategy is not none.
    pub address: Option<String>,
    /// The host to listen on; empty is all.
    pub host: String,
    /// Port number or service name.
    pub port: String,
    /// Length of the queue of connections; out of range is the system's maximum.
    pub backlog: i64,
    /// How to choose among addresses.
    pub strategy: MultiAddressStrategy,
    /// The sslProfile to use.
    pub ssl_profile: Option<String>,
    /// Refuse clients without a certificate.
    pub authenticate_peer: bool,
    /// Which protocol to watch for.
    pub observer: Observer,
}

/// Parameters of a tcpConnector.
#[derive(Debug, Clone)]
pub struct TcpConnectorParams {
    /// The name, or the identity when none was given.
    pub name: String,
    /// The service address.
    pub address: String,
    /// The server's host.
    pub host: String,
    /// Port number or service name.
    pub port: String,
    /// The sslProfile to use.
    pub ssl_profile: Option<String>,
    /// The name in the server's certificate must be its host.
    pub verify_hostname: bool,
    /// The process record that stands for the server.
    pub process_id: Option<String>,
}

/// Parameters of a listenerAddress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAddressParams {
    /// The name, or the identity when none was given.
    pub name: String,
    /// The service address.
    pub address: String,
    /// Its priority or weight.
    pub value: i64,
    /// The name of the tcpListener.
    pub listener: String,
}

impl TryFrom<&EntityConfig> for TcpListenerParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        let strategy = match a.text("multiAddressStrategy") {
            Some("priority") => MultiAddressStrategy::Priority,
            Some("weighted") => MultiAddressStrategy::Weighted,
            _ => MultiAddressStrategy::None,
        };
        let address = owned(a, "address");
        let port = port(a)?;
        if address.is_some() != (strategy == MultiAddressStrategy::None) {
            return Err(RouterError::configuration(
                "Exactly one of the 'address' or 'multiAddressStrategy' field must be set",
            )
            .of_attributes());
        }
        Ok(Self {
            name: text(a, "name"),
            address,
            host: text(a, "host"),
            port,
            backlog: a.number("backlog").unwrap_or(0),
            strategy,
            ssl_profile: owned(a, "sslProfile"),
            authenticate_peer: a.flag("authenticatePeer"),
            observer: match a.text("observer") {
                Some("none") => Observer::None,
                Some("http1") => Observer::Http1,
                Some("http2") => Observer::Http2,
                _ => Observer::Auto,
            },
        })
    }
}

impl TryFrom<&EntityConfig> for TcpConnectorParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        let port = port(a)?;
        Ok(Self {
            name: text(a, "name"),
            address: owned(a, "address")
                .ok_or_else(|| RouterError::configuration("Address must be set").of_attributes())?,
            host: text(a, "host"),
            port,
            ssl_profile: owned(a, "sslProfile"),
            verify_hostname: a.flag("verifyHostname"),
            process_id: owned(a, "processId"),
        })
    }
}

impl TryFrom<&EntityConfig> for ListenerAddressParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        Ok(Self {
            name: text(a, "name"),
            address: text(a, "address"),
            value: a.number("value").unwrap_or(0),
            listener: text(a, "listener"),
        })
    }
}

/// The schema does not require a port, but sockets do.
fn port(a: &Attributes) -> Result<String, RouterError> {
    owned(a, "port").ok_or_else(|| RouterError::python("KeyError: ('port',)").of_attributes())
}
