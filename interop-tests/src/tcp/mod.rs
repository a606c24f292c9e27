//! TCP servers and clients that check what they carry.

mod delay;
mod pattern;
mod relay;
mod server;
mod socket;
mod stream;

pub use pattern::{Digest, receive_all, send_pattern};
pub use relay::Relay;
pub use server::{ScriptedServer, echo};
pub use socket::{connect, expect_end, expect_fin, expect_refused, expect_reset, receive_exactly, reset};
pub use stream::{Stream, TlsSetup};
