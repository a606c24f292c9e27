//! TLS: profiles, verification, identities, and the session that moves octets.
//!
//! rustls does the handshake; records are protected by [`record`] (see there why).

mod control;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod identity;
mod names;
mod profile;
mod record;
pub mod secret;
mod session;
#[cfg(test)]
mod tests;
mod traffic;
mod verify;
mod window;

pub use error::TlsError;
pub use handshake::SessionInfo;
pub use identity::{UidFormat, subject_name, user_id};
pub use profile::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsConfigError, TlsProfile, TlsServer};
pub use session::{PeerEnd, Session};
