//! A whole network in one thread and in virtual time: routers with their ports, clients, and
//! wires that carry real AMQP octets with delay, back-pressure and faults.
//!
//! ```text
//!   client engine ==wire== AmqpPort -- Router -- AmqpPort ==wire== AmqpPort -- Router ...
//!        |                                                                       |
//!      Ledger: what was sent, who got it, how it ended                        checks
//! ```
//!
//! Everything follows from one seed. [`Sim`] runs the machinery, [`scenario`] makes a random
//! network with a random history of faults, and [`check`] compares the state that the network comes
//! to with what it must be.

mod app;
pub mod check;
mod client;
mod history;
mod ledger;
mod network;
mod run;
pub mod scenario;
mod service;
pub mod service_scenario;
mod socket;
mod wire;

pub use app::Script;
pub use client::{LinkSpec, Plan};
pub use ledger::{Ledger, Outcome, Record};
pub use network::{RouterSpec, Sim, TrunkSpec};
pub use service::FlowRecord;
pub use socket::End;
