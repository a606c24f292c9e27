//! Sans-IO routing core.
//!
//! Layers: [`port`] joins an AMQP connection (or an in-process peer) to the [`core`]; the core owns
//! addresses, links, deliveries and the mesh control plane ([`mesh`]) and never sees payload;
//! payload moves through [`stream`]. Nothing here touches sockets, threads or clocks: time and
//! randomness are arguments, and wake-ups are [`std::task::Waker`]s that the caller supplied.

pub mod address;
pub mod annotations;
pub mod core;
pub mod exchange;
pub mod forward;
pub mod index;
pub mod log;
pub mod mailbox;
pub mod memory;
pub mod mesh;
pub mod mode;
pub mod policy;
pub mod port;
pub mod rng;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stream;
mod sync;
pub mod vanflow;

pub use crate::core::action::{Action, Deliver, InToken, Side};
pub use crate::core::effect::Effect;
pub use crate::core::ids::{ConnId, InId, LinkId, OutId};
pub use crate::core::{Core, Router};
pub use mailbox::Mailbox;

/// The version that the router tells to its peers and to operators.
pub const VERSION: &str = "3.5.0";
