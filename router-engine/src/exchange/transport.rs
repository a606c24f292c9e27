//! What an exchange asks of its transport.

use crate::stream::Finish;
use bytes::Bytes;
use std::io::IoSlice;
use std::task::{Context, Poll};

/// What reading a transport gave.
#[derive(Debug)]
pub enum Read {
    /// Octets.
    Data(Bytes),
    /// The peer has ended its sending half, and how.
    End(Finish),
    /// The transport failed.
    Failed,
}

/// Why a transport takes no octets. It has logged the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// It is of no use any more.
    Failed,
    /// It takes nothing more; what its peer sent before may still be read.
    Broken,
}

/// A transport of octets in both directions, each of which ends by itself.
pub trait Transport {
    /// Octets, or the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read>;

    /// Takes octets to send; returns how many. Some may wait for [`Self::poll_flush`].
    ///
    /// # Errors
    /// When it takes no octets any more.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, WriteError>>;

    /// Whether [`Self::poll_flush`] has something to do.
    fn wants_flush(&self) -> bool;

    /// Sends what it took and holds back.
    ///
    /// # Errors
    /// When it takes no octets any more.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>>;

    /// Ends the sending half so. `last`: the receiving half has ended too, and the transport will be closed next.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>, finish: Finish, last: bool) -> Poll<()>;
}
