//! Connection, session, link and delivery state machines.
//!
//! [`Connection`] is the whole of it: octets in by [`Connection::receive`], events out by
//! [`Connection::poll_event`], octets out by [`Connection::output`]. Sessions and links are named
//! by keys that stay harmless when stale.

mod config;
mod connection;
mod deliveries;
mod disposition;
mod error;
mod event;
mod flow;
mod ids;
mod input;
mod layer;
pub mod limits;
mod link;
mod liveness;
mod open;
mod output;
mod session;
mod timer;
mod transfer;
mod window;
mod wire;

#[cfg(test)]
mod tests;

pub use config::{Config, SaslConfig};
pub use connection::Connection;
pub use error::{Violation, quote};
pub use event::{Event, Incoming, Status, Update};
pub use ids::{DeliveryKey, LinkKey, SessionKey};
pub use layer::Authentication;
pub use link::{AttachAnswer, AttachParams};
pub use liveness::Liveness;
pub use output::Output;
pub use transfer::{Outgoing, Sent};
