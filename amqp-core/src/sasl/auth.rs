//! What an engine leaves to its caller: work that needs users, randomness or time.

use super::{Mechanism, PlainCredentials};
use bytes::Bytes;

/// A question to the caller, on either side of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// Whether a password is the user's.
    Password(PlainCredentials),
    /// What follows a message of the peer in an exchange that has several.
    Exchange {
        /// The mechanism.
        mechanism: Mechanism,
        /// The exchange begins here.
        begins: bool,
        /// The peer's message; empty for the side that has the first word.
        message: Bytes,
    },
}

/// The answer to an [`AuthRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthReply {
    /// The exchange goes on with this message to the peer.
    Message(Bytes),
    /// The peer has shown what it had to.
    Accepted {
        /// Who it is; of no account at a client.
        user: String,
        /// What a server has to send with its consent.
        last: Option<Bytes>,
    },
    /// It has not.
    Refused {
        /// Why, for the log.
        detail: String,
    },
}

// === impl AuthReply ===

impl AuthReply {
    /// What is told of a name or a password that is not good: no more to anybody than that.
    #[must_use]
    pub fn bad_credentials() -> Self {
        Self::refused("authentication failure")
    }

    /// A refusal for a reason.
    #[must_use]
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::Refused { detail: detail.into() }
    }
}
