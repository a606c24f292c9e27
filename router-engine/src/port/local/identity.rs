//! How a peer inside the process shows itself.

use crate::core::connection::{ConnFacts, ConnParams, ConnectionRole, PeerKind};

/// How a peer inside the process shows itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What it is. What an internal one consumes comes before other consumers; one of kind AMQP is a client that happens
    /// to have no socket.
    pub kind: PeerKind,
    /// The router opened it, not the peer.
    pub initiator: bool,
    /// Shown as `host`.
    pub host: String,
    /// Local `ip:port` of its socket, when it has one already.
    pub local_socket: Option<String>,
    /// First credit of its senders, and how many settled messages wait for each of its receivers.
    pub capacity: u32,
}

// === impl Identity ===

impl Identity {
    /// A part of the router, such as the management agent.
    #[must_use]
    pub fn internal(host: &str, capacity: u32) -> Self {
        Self::accepted(PeerKind::Internal, host, capacity)
    }

    /// A part of the router whose addresses are known in the whole network.
    #[must_use]
    pub fn hidden(host: &str, capacity: u32) -> Self {
        Self::accepted(PeerKind::Hidden, host, capacity)
    }

    /// An AMQP client without a socket.
    #[must_use]
    pub fn client(host: &str, capacity: u32) -> Self {
        Self::accepted(PeerKind::Amqp, host, capacity)
    }

    fn accepted(kind: PeerKind, host: &str, capacity: u32) -> Self {
        Self { kind, initiator: false, host: host.to_owned(), local_socket: None, capacity }
    }

    /// The core's view of the peer. The one place where peers inside the process get their parameters.
    #[must_use]
    pub fn params(self) -> ConnParams {
        let Self { kind, initiator, host, local_socket, capacity } = self;
        let mut params = match kind {
            PeerKind::Amqp => ConnParams::amqp(ConnectionRole::Normal),
            PeerKind::TcpFlow
            | PeerKind::TcpDispatcher
            | PeerKind::Http1
            | PeerKind::Http2
            | PeerKind::HttpDispatcher
            | PeerKind::Internal
            | PeerKind::Hidden => ConnParams::in_process(kind, capacity),
        };
        params.links.capacity = capacity;
        ConnParams { initiator, facts: ConnFacts { host, local_socket, ..ConnFacts::default() }, ..params }
    }
}
