//! AMQP connections: listeners, connectors, and the driver of each connection.

mod authentication;
mod connector;
mod driver;
mod failover;
mod listener;
mod params;
mod proxy;
mod records;
mod registration;
mod round_trip;

#[cfg(test)]
pub(crate) use listener::tests as testing;

pub use crate::listening::ListenError;
pub use connector::{Connector, ConnectorState, ConnectorStatus};
pub use driver::{Driver, Ending, OnOpened};
pub(crate) use listener::Upgraded;
pub use listener::{Amqp, Listener};
pub use params::{Authenticator, ConnectorParams, DataConnections, EndpointParams, ListenerParams};
#[cfg(any(test, feature = "fuzzing"))]
pub use proxy::fuzz_answer as fuzz_proxy_answer;
pub use proxy::{ProxyProfile, ProxyProfiles, ViaProxy};
pub use round_trip::{RoundTrip, round_trips};
