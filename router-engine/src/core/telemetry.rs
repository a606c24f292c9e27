//! What the core counts and tells as objects come and go.

use super::Totals;
use super::connection::PeerKind;
use super::objects::{Conn, Link};
use crate::telemetry::{Event, Sink};
use std::sync::Arc;
use std::task::Waker;

/// How many objects there are that operators are shown, and who is told of each. What tells of one returns whom to wake.
#[derive(Debug, Default)]
pub(super) struct Telemetry {
    pub(super) sink: Option<Arc<dyn Sink>>,
    /// Of deliveries.
    pub(super) totals: Totals,
    /// Connections.
    pub(super) connections: usize,
    /// Of these, of ordinary peers, by kind.
    clients: [usize; PeerKind::COUNT],
    /// Links.
    pub(super) links: usize,
}

// === impl Telemetry ===

impl Telemetry {
    /// Connections of ordinary peers, by protocol, as far as there are any.
    pub(super) fn services(&self) -> Vec<(&'static str, u64)> {
        let mut services = Vec::<(&'static str, u64)>::new();
        for (kind, &count) in PeerKind::ALL.iter().zip(&self.clients).filter(|(_, count)| **count > 0) {
            match services.iter_mut().find(|(protocol, _)| *protocol == kind.protocol()) {
                Some((_, sum)) => *sum += count as u64,
                None => services.push((kind.protocol(), count as u64)),
            }
        }
        services
    }

    /// A connection has its peer's open.
    pub(super) fn opened(&mut self, conn: &Conn) -> Option<Waker> {
        if !conn.is_shown() {
            return None;
        }
        self.connections += 1;
        if conn.role.is_client() {
            self.clients[conn.params.kind as usize] += 1;
        }
        self.note(|| Event::ConnectionOpened { conn: conn.id, peer: conn.params.kind, role: conn.role })
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, conn: &Conn) -> Option<Waker> {
        if !conn.is_shown() {
            return None;
        }
        self.connections -= 1;
        if conn.role.is_client() {
            self.clients[conn.params.kind as usize] -= 1;
        }
        self.note(|| Event::ConnectionClosed { conn: conn.id })
    }

    /// A link was made on a connection.
    pub(super) fn attached(&mut self, conn: &Conn, link: &Link) -> Option<Waker> {
        if conn.is_internal() {
            return None;
        }
        self.links += 1;
        self.note(|| Event::LinkAttached { link: link.id, conn: conn.id, direction: link.direction })
    }

    /// A link of a connection is gone.
    pub(super) fn detached(&mut self, conn: &Conn, link: &Link) -> Option<Waker> {
        if conn.is_internal() {
            return None;
        }
        self.links -= 1;
        self.note(|| Event::LinkDetached { link: link.id })
    }

    fn note(&self, event: impl FnOnce() -> Event) -> Option<Waker> {
        self.sink.as_ref()?.note(event())
    }
}
