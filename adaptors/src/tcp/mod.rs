//! TCP services: tcpListener and tcpConnector (spec `tcp-adaptor.md`).
//!
//! ```text
//!  client --> listener -> flow ==client stream==> (mesh) ==> connector -> flow --> server
//!             listener    flow <==server stream== (mesh) <==              flow
//! ```

mod addresses;
mod connector;
mod encap;
mod ending;
mod flow;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod listener;
mod report;
mod service;
mod setup;
mod streams;
mod window;

#[cfg(test)]
mod tests;

pub use addresses::{AddressEntry, Strategy};
pub use connector::{TcpConnector, TcpConnectorParams};
pub use encap::{Head, HeadError};
pub use listener::{TcpListener, TcpListenerParams};
pub use service::Service;
pub use window::{REPORT_EVERY, ReceiveWindow, SendWindow, WINDOW};
