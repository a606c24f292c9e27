//! How much there is in the core.

use super::Router;

/// How many objects of each kind the core holds, those of the router's own parts included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Population {
    /// Connections, whether open or not.
    pub connections: usize,
    /// Links.
    pub links: usize,
    /// Address records.
    pub addresses: usize,
    /// Deliveries that came in and have a future.
    pub incoming: usize,
    /// Copies of deliveries that go out and have a future.
    pub outgoing: usize,
    /// Watches on addresses.
    pub watches: usize,
}

impl Router {
    /// Counts the objects of the core.
    #[must_use]
    pub fn population(&self) -> Population {
        let core = self.core.lock();
        Population {
            connections: core.conns.len(),
            links: core.links.len(),
            addresses: core.addresses.records().len(),
            incoming: core.incoming.len(),
            outgoing: core.outgoing.len(),
            watches: core.addresses.records().iter().map(|address| address.watches.len()).sum(),
        }
    }
}
