//! HTTP listeners and connectors, and what may stand in their place.
//!
//! ```text
//!   client --> httpListener: Net of one router, two, or an edge router :httpConnector --> server
//!   client --> Front: such a net, or another proxy (INTEROP_HTTP_PROXY) --> Recorder
//! ```

mod front;
mod net;

pub use front::Front;
pub use net::{MULTICAST, Net, Shape, Version};
