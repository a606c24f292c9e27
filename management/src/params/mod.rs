//! Typed parameters of configuration entities.
//!
//! Each type is made from a validated entity with `TryFrom<&EntityConfig>`; what the schema cannot
//! express is checked there. Whoever opens sockets takes these, never raw attributes.

mod address;
mod amqp;
mod log;
mod profile;
mod router;
mod tcp;
mod vhost;

#[cfg(test)]
mod tests;

pub use address::{AddressParams, AutoLinkDirection, AutoLinkParams, MAX_PRIORITY};
pub use amqp::{ConnectorParams, HttpParams, ListenerParams, PeerParams};
pub use log::LogParams;
pub use profile::{ProxyProfileParams, SslProfileParams};
pub use router::{DataConnections, NetworkParams, PolicyParams, RouterParams};
pub use tcp::{ListenerAddressParams, MultiAddressStrategy, Observer, TcpConnectorParams, TcpListenerParams};
pub use vhost::vhost_rules;

use crate::attributes::Attributes;
use std::net::IpAddr;

/// Restricts a host to one version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketFamily {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl SocketFamily {
    fn of(attributes: &Attributes) -> Option<Self> {
        match attributes.text("socketAddressFamily")? {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }

    /// Whether an address is of this family.
    #[must_use]
    pub const fn admits(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

fn owned(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.text(name).map(str::to_owned)
}

fn text(attributes: &Attributes, name: &str) -> String {
    attributes.text(name).unwrap_or_default().to_owned()
}

/// A count that may not be negative; more than fits counts as the most.
fn count(attributes: &Attributes, name: &str) -> u64 {
    attributes.number(name).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}
