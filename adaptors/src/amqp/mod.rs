//! AMQP connections: listeners, connectors, and the driver of each connection.

mod connector;
mod driver;
mod failover;
mod listener;
mod params;
mod records;
mod registration;
mod start;

pub use connector::{Connector, ConnectorState, ConnectorStatus};
pub use driver::{Driver, Ending, OnOpened};
pub use listener::{ListenError, Listener};
pub use params::{Authenticator, ConnectorParams, DataConnections, EndpointParams, ListenerParams};
