//! What an observer of HTTP/1 cannot go on after.

/// A rule of HTTP/1 that was broken, or a bound of this observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line has a NUL, a DEL or an octet above them.
    #[error("protocol error: non USASCII data")]
    NotAscii,
    /// A line has more than 65,535 octets.
    #[error("protocol error: received line too long")]
    LineTooLong,
    /// A request line has fewer than three words.
    #[error("Malformed request line")]
    RequestLine,
    /// A status line has fewer than two words.
    #[error("Malformed response line")]
    StatusLine,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    #[error("Unsupported HTTP/1.x version")]
    Version,
    /// A status is not a number from 100 to 999.
    #[error("Bad response code")]
    Status,
    /// An answer without a request.
    #[error("Spurious HTTP response received")]
    Spurious,
    /// A `Content-Length` is not a number, or one of more than 63 bits.
    #[error("Malformed Content-Length value")]
    ContentLength,
    /// Lengths in `Content-Length` differ.
    #[error("Invalid duplicate Content-Length header")]
    ContentLengths,
    /// A request has a transfer coding after which nobody knows its length.
    #[error("Unrecognized Transfer-Encoding")]
    TransferEncoding,
    /// The size of a chunk is not a hexadecimal number, or one of more than 63 bits.
    #[error("Invalid chunk length")]
    ChunkSize,
    /// A chunk is longer than its size.
    #[error("Unexpected chunk body end")]
    ChunkEnd,
    /// More than 1,024 requests wait for their answers.
    #[error("too many pipelined requests")]
    Pipelined,
}
