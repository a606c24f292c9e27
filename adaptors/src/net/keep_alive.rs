//! Keep-alive of TCP (RFC 9293, section 3.8.4): the kernel finds out which silent peers are gone.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// When a connection is probed, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// For how long nothing comes before the first probe, and from one probe to the next: whole seconds, 1 to
    /// [`Self::LONGEST`].
    pub interval: Duration,
    /// Probes without an answer until the connection has failed, 1 to [`Self::PROBES_MAX`].
    pub probes: u32,
}

// === impl KeepAlive ===

impl KeepAlive {
    /// The longest interval that kernels take, in seconds.
    pub const LONGEST: u32 = 32_767;
    /// The most probes that kernels take.
    pub const PROBES_MAX: u32 = 127;

    /// Has a socket probed. Sockets accepted from a listening one inherit it.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn apply(self, socket: &impl AsFd) -> io::Result<()> {
        let Self { interval, probes } = self;
        let options = TcpKeepalive::new().with_time(interval).with_interval(interval).with_retries(probes);
        SockRef::from(socket).set_tcp_keepalive(&options)
    }
}
