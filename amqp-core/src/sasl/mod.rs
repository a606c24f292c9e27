//! SASL security layer (part 5, 5.3).

mod auth;
pub mod client;
mod frames;
mod mechanism;
mod plain;
mod secret;
pub mod server;

pub use auth::{AuthReply, AuthRequest};
pub use frames::{SaslCode, SaslFrame};
pub use mechanism::Mechanism;
pub use plain::PlainCredentials;
pub use secret::Secret;
