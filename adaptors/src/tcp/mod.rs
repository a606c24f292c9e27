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
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod idle;
mod introduction;
mod limits;
mod listener;
mod peers;
mod record;
mod report;
mod service;
mod setup;
mod socket;
mod tap;
mod timing;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod resending;
#[cfg(test)]
mod staying;
#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use report::capture;

pub use addresses::{AddressEntry, Strategy};
pub(crate) use addresses::{AddressSet, Chosen, Reach};
pub use connector::{TcpConnector, TcpConnectorParams};
pub use idle::IdleLimits;
pub use limits::ServiceLimits;
pub(crate) use listener::stranger;
pub use listener::{TcpListener, TcpListenerParams};
pub use peers::{PEERS_MAX, PEERS_PER_SERVICE, Peer};
pub(crate) use record::trace_text;
pub use service::{Label, Service};
pub(crate) use service::{Member, Services};
pub use timing::Times;
