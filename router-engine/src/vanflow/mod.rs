//! Records of what a router is and does, for whoever collects them (spec `vanflow.md`).
//!
//! ```text
//!  listeners, connectors, flows --Record, Meter--> Registry --taken at each tick--> Source --messages--> network
//!       any thread                  atomics, one queue                one thread: Store, timers
//! ```
//!
//! Records are made whether anybody collects them or not, as a collector that comes later asks for all that live. A
//! flow tells of its begin and end, and counts in atomics of its own; everything else is the work of the thread that has
//! the [`Source`].

mod attribute;
mod codec;
mod identity;
mod registry;
mod source;
mod store;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, Kind, Value};
pub use identity::{Identity, SourceId};
pub use registry::{Attributes, Http1Flow, Meter, Record, RecordType, Registry};
pub use source::{Channel, Outgoing, Source};
pub use store::Ended;
