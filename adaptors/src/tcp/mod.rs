//! TCP services: tcpListener and tcpConnector (spec `tcp-adaptor.md`).
//!
//! ```text
//!  client --> listener -> flow ==client stream==> (mesh) ==> connector -> flow --> server
//!             listener    flow <==server stream== (mesh) <==              flow
//! ```

mod addresses;
mod connector;
mod ending;
mod flow;
mod listener;
mod report;
mod service;
mod setup;
mod socket;

#[cfg(test)]
mod tests;

pub use addresses::{AddressEntry, Strategy};
pub use connector::{TcpConnector, TcpConnectorParams};
pub use listener::{TcpListener, TcpListenerParams};
pub use service::Service;
