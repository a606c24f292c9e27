//! SASL security layer (part 5, 5.3).

pub mod client;
mod frames;
mod plain;
pub mod server;

pub use frames::{SaslCode, SaslFrame};
pub use plain::PlainCredentials;
