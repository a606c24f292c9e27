//! TCP servers and clients that check what they carry.

mod pattern;
mod server;
mod socket;

pub use pattern::{Digest, receive_all, send_pattern};
pub use server::ScriptedServer;
pub use socket::{connect, expect_end, expect_refused, receive_exactly, reset};
