//! What the core counts as objects come and go, so that asking for totals costs the same however many there are.

use super::Totals;
use super::connection::PeerKind;
use super::objects::Conn;

/// How many objects there are that operators are shown.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Of deliveries.
    pub(super) totals: Totals,
    /// Connections.
    pub(super) connections: usize,
    /// Of these, of ordinary peers, by kind.
    clients: [usize; PeerKind::COUNT],
    /// Links.
    pub(super) links: usize,
}

// === impl Figures ===

impl Figures {
    /// Connections of ordinary peers, by protocol, as far as there are any. So many flows of TCP are seen to carry
    /// HTTP/1, and count as that.
    pub(super) fn services(&self, http1: usize) -> Vec<(&'static str, u64)> {
        let mut services = Vec::<(&'static str, u64)>::new();
        for (kind, &count) in PeerKind::ALL.iter().zip(&self.clients).filter(|(_, count)| **count > 0) {
            match services.iter_mut().find(|(protocol, _)| *protocol == kind.counted_as()) {
                Some((_, sum)) => *sum += count as u64,
                None => services.push((kind.counted_as(), count as u64)),
            }
        }
        if let Some((_, tcp)) = services.iter_mut().find(|(protocol, _)| *protocol == PeerKind::TcpFlow.protocol()) {
            let http1 = (http1 as u64).min(*tcp);
            *tcp -= http1;
            match services.iter_mut().find(|(protocol, _)| *protocol == PeerKind::Http1.counted_as()) {
                Some((_, sum)) => *sum += http1,
                None => services.extend((http1 > 0).then_some((PeerKind::Http1.counted_as(), http1))),
            }
        }
        services
    }

    /// A connection has its peer's open.
    pub(super) fn opened(&mut self, conn: &Conn) {
        if !conn.is_shown() {
            return;
        }
        self.connections += 1;
        if conn.role.is_client() {
            self.clients[conn.params.kind as usize] += 1;
        }
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, conn: &Conn) {
        if !conn.is_shown() {
            return;
        }
        self.connections -= 1;
        if conn.role.is_client() {
            self.clients[conn.params.kind as usize] -= 1;
        }
    }

    /// A link was made on a connection.
    pub(super) fn attached(&mut self, conn: &Conn) {
        if conn.is_internal() {
            return;
        }
        self.links += 1;
    }

    /// A link of a connection is gone.
    pub(super) fn detached(&mut self, conn: &Conn) {
        if conn.is_internal() {
            return;
        }
        self.links -= 1;
    }
}
