//! Peers of the core inside this process: the management agent, the flows of TCP services, whatever else speaks to the
//! network without a socket of its own.
//!
//! ```text
//!  owner --attach, send, settle--> Endpoint --one batch--> Router
//!  owner <------- Event ---------- Endpoint <--Effect----- Mailbox <-- core, streams
//!     |                               |
//!     +-- Delivery    (came in)       +-- Connection: leaves the core
//!     +-- SendStream  (goes out)
//! ```
//!
//! Three kinds of values stand for something that the core keeps an account of, and none can be lost: whoever drops one,
//! by a panic, with an aborted task or with its executor, ends what it stands for, in the worse of two ways.
//!
//! | Dropped | In the core |
//! |---|---|
//! | [`Connection`] (and [`Endpoint`]) | it and its links are gone; what it had taken has failed, what waited is released |
//! | [`Delivery`] | it has failed: its sender is told MODIFIED |
//! | [`SendStream`] | it is aborted |
//!
//! A drop has no clock, and happens at the time of the core's last batch. The orderly ends, [`Endpoint::close`],
//! [`Delivery::settle`] and [`SendStream::finish`], take the time as everything here does.
//!
//! [`Connection`] alone is for owners that gather their own batches of actions.

mod arriving;
mod attach;
mod connection;
mod delivery;
mod endpoint;
mod event;
mod identity;
mod peers;
mod send;

#[cfg(test)]
mod tests;

pub use arriving::{Excess, GatherLimits};
pub use attach::{Attach, Attached};
pub use connection::{Closer, Connection};
pub use delivery::Delivery;
pub use endpoint::Endpoint;
pub use event::Event;
pub use identity::Identity;
pub use send::{Envelope, SendStream};

use crate::core::ids::ConnId;
use crate::{Action, Router};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Tells the core what becomes of something that was dropped.
fn tell_dropped(router: &Router, conn: ConnId, mut actions: Vec<Action>) {
    shielded(|| router.submit_untimed(conn, &mut actions));
}

/// Runs the last words of a value. What made its owner panic may do so again here, and would end the process then.
fn shielded(words: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(words));
}
