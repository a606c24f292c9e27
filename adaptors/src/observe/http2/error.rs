//! What an observer of HTTP/2 cannot go on after.

use super::hpack;

/// A rule of HTTP/2 that was broken, or a bound of this observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client does not begin with the connection preface.
    #[error("protocol error: client connection prefix is not present or invalid client connection prefix")]
    Preface,
    /// A frame that has to be read whole, or a header block, has more than 65,535 octets.
    #[error("scratch buffer size exceeded 65535 bytes, stopping decoder")]
    TooLarge,
    /// A frame is too short for what it has to carry.
    #[error("frame of type {0} too short")]
    TooShort(u8),
    /// The frames of a header block do not follow each other.
    #[error("header block not continued")]
    Continuation,
    /// A header block cannot be decoded.
    #[error(transparent)]
    Hpack(#[from] hpack::Error),
}
