//! The glue between an AMQP connection and the routing core.

mod params;

pub use amqp_core::engine::Output;
pub use params::{PortError, PortParams, PortState, SaslParams, TlsInfo};

use crate::Router;
use crate::core::connection::ConnHandle;
use amqp_core::Instant;
use amqp_core::performative::Open;
use bytes::Bytes;
use std::sync::Arc;
use std::task::Waker;

/// A user name and password to be checked by whoever knows the users.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainCredentials {
    /// The authorization identity; may be empty.
    pub authzid: String,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// An AMQP connection joined to the routing core. Owned by one driver task.
#[allow(missing_debug_implementations, dead_code)]
pub struct AmqpPort {
    params: PortParams,
    handle: ConnHandle,
    router: Arc<Router>,
    output: Output,
}

impl AmqpPort {
    /// A port whose connection was announced with [`Router::connect`].
    #[must_use]
    pub fn new(params: PortParams, handle: ConnHandle, router: Arc<Router>, now: Instant) -> Self {
        let _ = now;
        Self { params, handle, router, output: Output::default() }
    }
    /// Tells what TLS established; before the first octet is received.
    pub fn set_tls(&mut self, info: TlsInfo) {
        let _ = (info, &mut self.output);
    }
    /// Takes cleartext octets read from the transport. Processed by [`Self::turn`].
    pub fn receive(&mut self, data: Bytes) {
        let _ = (data, &mut self.output);
    }
    /// Does a bounded amount of work. True: more work is ready, call again after flushing.
    pub fn turn(&mut self, now: Instant) -> bool {
        let _ = (now, &mut self.output);
        false
    }
    /// The octets to write.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }
    /// False: do not read from the transport now.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        true
    }
    /// Arms the wake-up by the core and by streams. False: there is work, call [`Self::turn`].
    #[must_use]
    pub fn park(&self, waker: &Waker) -> bool {
        self.handle.mailbox.park(waker)
    }
    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// Runs timers that are due; [`Self::turn`] must follow.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = (now, &mut self.output);
    }
    /// Where the port is in its life.
    #[must_use]
    pub fn state(&self) -> PortState {
        PortState::Running
    }
    /// The transport ended or failed. Everything is detached in the core.
    pub fn transport_closed(&mut self, now: Instant) {
        let _ = (now, &mut self.output);
    }
    /// Takes the lines of the frame trace, without their `[C<n>]:FRAME: ` prefix.
    pub fn take_trace(&mut self) -> Vec<String> {
        let _ = &mut self.output;
        Vec::new()
    }
    /// The peer's container id once its open has come.
    #[must_use]
    pub fn remote_container(&self) -> Option<&str> {
        None
    }
    /// Whether both opens are exchanged.
    #[must_use]
    pub fn opened(&self) -> bool {
        false
    }
    /// The peer's open once it has come, for failover lists.
    #[must_use]
    pub fn remote_open(&self) -> Option<&Open> {
        None
    }
    /// Takes a pending request to check a user name and password; to be answered by [`Self::auth_result`].
    pub fn take_auth_request(&mut self) -> Option<PlainCredentials> {
        let _ = &mut self.output;
        None
    }
    /// Answers [`Self::take_auth_request`]; [`Self::turn`] must follow.
    pub fn auth_result(&mut self, ok: bool) {
        let _ = (ok, &mut self.output);
    }
}
