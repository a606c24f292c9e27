//! TLS: profiles, verification, identities, and the session that moves octets.
//!
//! rustls does the handshake; records are protected by [`record`] (see there why). Certificates are judged here and not
//! by webpki, because existing deployments rely on what OpenSSL accepts: [`certificate`] reads one, [`chain`] finds the
//! way to a trusted one, [`policy`] and [`constraints`] hold the rules, [`refusal`] the reasons.

mod anchors;
mod certificate;
mod chain;
mod clients;
mod constraints;
mod control;
mod error;
mod expiry;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod hostname;
mod identity;
mod inspect;
mod key;
mod material;
mod names;
mod pbe;
mod policy;
mod profile;
mod record;
mod refusal;
pub mod secret;
mod session;
mod strings;
#[cfg(test)]
mod tests;
mod traffic;
mod update;
mod verify;
mod window;

pub use clients::AllowedClients;
pub use error::TlsError;
pub use expiry::certificate_expiries;
pub use handshake::SessionInfo;
pub use identity::{UidFormat, subject_name, user_id};
pub use inspect::{CertificateSummary, inspect};
pub use policy::Purpose;
pub use profile::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsConfigError, TlsProfile, TlsServer};
pub use refusal::{Reason, Refusal};
pub use session::{PeerEnd, Session};
pub use update::TlsUpdate;
pub use verify::judge;
