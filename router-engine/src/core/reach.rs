//! Who can be reached at an address, and the one place that acts on a change of it.
//!
//! ```text
//!  bind, unbind ------.                                        .--> producers get the credit that was kept back
//!                     +--> ReachChange --> on_reach_change ----+--> the plane tells the network
//!  map, unmap remote -'                                        '--> watches are told
//! ```

use super::Core;
use super::connection::PeerKind;
use super::objects::{Address, Conn, Link};
use super::table::Slot;
use crate::index::NodeIndex;

/// Whom a link serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A part of the router itself.
    InProcess,
    /// A client of this router.
    Own,
    /// Clients of the router at the other end, which attached it for them.
    Proxy,
}

/// How many links are at one end of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Links {
    /// Of clients of this router.
    pub(super) own: u32,
    /// That other routers attached for their clients.
    pub(super) proxied: u32,
}

/// Who can be reached at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reach {
    /// In-process consumers.
    pub(super) in_process: u32,
    /// Links of consumers.
    pub(super) consumers: Links,
    /// Links of producers.
    pub(super) producers: Links,
    /// Routers that advertise the address.
    pub(super) remotes: u32,
}

/// Who can be reached at an address has changed.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(super) struct ReachChange {
    pub(super) address: Slot<Address>,
    pub(super) before: Reach,
    pub(super) after: Reach,
}

/// What became of the consumers at this router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocalChange {
    /// The first one came.
    Gained,
    /// The last one went.
    Lost,
}

// === impl Links ===

impl Links {
    pub(super) const fn total(self) -> u32 {
        self.own + self.proxied
    }
}

// === impl LocalChange ===

impl LocalChange {
    const fn of(before: u32, after: u32) -> Option<Self> {
        match (before, after) {
            (0, 1..) => Some(Self::Gained),
            (1.., 0) => Some(Self::Lost),
            _ => None,
        }
    }
}

// === impl Reach ===

impl Reach {
    /// Destinations that deliveries may be sent to.
    const fn paths(self) -> u32 {
        self.in_process + self.consumers.total() + self.remotes
    }
}

// === impl ReachChange ===

impl ReachChange {
    /// There was no destination before.
    const fn is_first_path(&self) -> bool {
        self.before.paths() == 0 && self.after.paths() > 0
    }

    /// What the network is to be told of the consumers here, if anything.
    pub(super) const fn local(&self) -> Option<LocalChange> {
        LocalChange::of(self.before.consumers.total(), self.after.consumers.total())
    }

    /// The same of those alone that edge routers have, or of the end of all.
    pub(super) const fn proxied(&self) -> Option<LocalChange> {
        match self.local() {
            Some(LocalChange::Lost) => Some(LocalChange::Lost),
            _ => LocalChange::of(self.before.consumers.proxied, self.after.consumers.proxied),
        }
    }
}

// === impl Conn ===

impl Conn {
    const fn holder(&self) -> Holder {
        if matches!(self.params.kind, PeerKind::Internal) {
            Holder::InProcess
        } else if self.role.attaches_for_others() {
            Holder::Proxy
        } else {
            Holder::Own
        }
    }
}

// === impl Address ===

impl Address {
    pub(super) fn reach(&self) -> Reach {
        let links = |total: u32, proxied: u32| Links { own: total - proxied, proxied };
        Reach {
            in_process: self.subscribers.len() as u32,
            consumers: links(self.consumers.len(), self.proxied_consumers),
            producers: links(self.producers.len(), self.proxied_producers),
            remotes: self.remotes.len() as u32,
        }
    }
}

// === impl Core ===

impl Core {
    /// Makes a link a consumer or producer of an address.
    pub(super) fn bind(&mut self, link: Slot<Link>, address: Slot<Address>) {
        let holder = self.conns[self.links[link].conn].holder();
        let change = self.addresses.bind(address, &mut self.links, link, holder);
        self.on_reach_change(&change);
    }

    /// The reverse of [`Self::bind`], if the link is bound.
    pub(super) fn unbind(&mut self, link: Slot<Link>) {
        if self.links[link].told_reachable == Some(true) {
            self.take_back(link);
        }
        let holder = self.conns[self.links[link].conn].holder();
        if let Some(change) = self.addresses.unbind(&mut self.links, link, holder) {
            self.on_reach_change(&change);
        }
    }

    /// A remote router advertises an address, or (not `present`) no longer does.
    pub(super) fn map_remote(&mut self, address: Slot<Address>, node: NodeIndex, present: bool) {
        let change = self.addresses.map_remote(address, node, present);
        self.on_reach_change(&change);
    }

    fn on_reach_change(&mut self, change: &ReachChange) {
        let address = change.address;
        if change.is_first_path() {
            self.restart_producers(address);
        }
        self.reach_changed(change);
        // What stood for it elsewhere may have been the last that it was there for.
        if self.addresses.get(address).is_some() {
            self.notify_watches(address);
            self.addresses.release(address);
        }
    }
}
