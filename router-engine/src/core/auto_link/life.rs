//! The life of auto-links: what operators do, and what happens to connections and links.

use super::{Activation, AutoLink, AutoLinkConfig, Phase};
use crate::address::name;
use crate::core::Core;
use crate::core::action::Direction;
use crate::core::effect::SessionClass;
use crate::core::ids::{ConnId, LinkId};
use crate::core::objects::{Address, Conn, Link, LinkKind};
use crate::core::table::Slot;
use crate::forward::Treatment;
use amqp_core::performative::{Error, Source, Target};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What operators do.
impl Core {
    pub(super) fn add_auto_link(&mut self, number: u64, config: AutoLinkConfig) {
        let meant = self.conns.entries().filter(|(_, conn)| config.is_meant_for(conn));
        let conns: Vec<Slot<Conn>> = meant.map(|(slot, _)| slot).collect();
        let address = config.address.as_deref().map(|text| self.hold_address(text));
        let auto_link = AutoLink { config, address, last_error: None, activations: BTreeMap::new() };
        self.auto_links.all.insert(number, auto_link);
        for conn in conns {
            self.activate_auto_link(number, conn);
        }
    }

    pub(super) fn remove_auto_link(&mut self, number: u64) {
        let Some(auto_link) = self.auto_links.all.get(&number) else { return };
        let conns: Vec<ConnId> = auto_link.activations.keys().copied().collect();
        for conn in conns {
            let link = self.deactivate_auto_link(number, conn);
            if let Some(slot) = link.and_then(|link| self.links.find(link)) {
                self.detach_link(slot, None);
            }
        }
        if let Some(address) = self.auto_links.all.remove(&number).and_then(|auto_link| auto_link.address) {
            self.addresses[address].holds -= 1;
            self.addresses.release(address);
        }
    }

    /// The record of an auto-link's address, which the auto-link makes available whatever the configuration says.
    fn hold_address(&mut self, text: &str) -> Slot<Address> {
        let key = self.addresses.key_of(text);
        let config = key.strip_prefix('M').and_then(|text| self.addresses.patterns.best_match(text));
        let treatment = match config {
            Some(config) if config.treatment != Treatment::Unavailable => config.treatment,
            _ => Treatment::Balanced,
        };
        let priority = config.and_then(|config| config.priority);
        let slot = self.addresses.with_key(&key).unwrap_or_else(|| self.addresses.create(key, treatment, priority));
        let address = &mut self.addresses[slot];
        address.holds += 1;
        if address.treatment == Treatment::Unavailable {
            address.treatment = treatment;
        }
        if self.addresses.is_unavailable(text) {
            // Routers that advertise it were passed over so far.
            self.reconsider_unavailable();
        }
        slot
    }
}

/// What happens to connections.
impl Core {
    /// A connection that takes auto-links has opened.
    pub(in crate::core) fn activate_auto_links(&mut self, conn: Slot<Conn>) {
        let meant = self.auto_links.all.iter().filter(|(_, a)| a.config.is_meant_for(&self.conns[conn]));
        let numbers: Vec<u64> = meant.map(|(number, _)| *number).collect();
        for number in numbers {
            self.activate_auto_link(number, conn);
        }
    }

    /// A connection ends. Its links end with it, which is no failure of theirs.
    pub(in crate::core) fn deactivate_auto_links(&mut self, conn: Slot<Conn>) {
        let Conn { id, role, .. } = self.conns[conn];
        if !role.takes_auto_links() {
            return;
        }
        let active = self.auto_links.all.iter().filter(|(_, a)| a.activations.contains_key(&id));
        let numbers: Vec<u64> = active.map(|(number, _)| *number).collect();
        for number in numbers {
            self.deactivate_auto_link(number, id);
        }
    }

    /// Attaches again what was detached long enough ago.
    pub(in crate::core) fn retry_auto_links(&mut self) {
        while let Some(&(at, number, conn)) = self.auto_links.retries.first()
            && at <= self.now
        {
            self.auto_links.retries.pop_first();
            if let Some(conn) = self.conns.find(conn) {
                self.activate_auto_link(number, conn);
            }
        }
    }

    fn activate_auto_link(&mut self, number: u64, conn: Slot<Conn>) {
        let Some(auto_link) = self.auto_links.all.get_mut(&number) else { return };
        auto_link.report(number, &self.conns[conn], "Activated");
        let id = self.conns[conn].id;
        auto_link.activations.entry(id).or_default();
        let AutoLinkConfig { direction, ref address, .. } = auto_link.config;
        let anonymous = direction == Direction::In && address.is_none();
        let Some((source, target)) = auto_link.config.termini() else { return };
        let link_name = name::link_name(&mut self.rng);
        let slot = self.insert_link(conn, link_name, direction, LinkKind::Endpoint);
        self.stage_attach(slot, source, target, SessionClass::AutoLink, anonymous);
        let link = self.links[slot].id;
        self.auto_links.by_link.insert(link, number);
        if let Some(activation) = self.auto_links.activation(number, id) {
            activation.phase = Phase::Attaching(link);
        }
    }

    /// Ends an auto-link on a connection. The link that it leaves there.
    fn deactivate_auto_link(&mut self, number: u64, conn: ConnId) -> Option<LinkId> {
        let auto_link = self.auto_links.all.get_mut(&number)?;
        let Activation { phase, .. } = auto_link.activations.remove(&conn)?;
        if let Some(slot) = self.conns.find(conn) {
            auto_link.report(number, &self.conns[slot], "Deactivated");
        }
        if let Phase::Failed(retry) = phase {
            self.auto_links.retries.remove(&(retry, number, conn));
        }
        let link = phase.link()?;
        self.auto_links.by_link.remove(&link);
        self.auto_links.end_renaming(number, conn);
        Some(link)
    }
}

/// What happens to links.
impl Core {
    /// The peer has answered an attach. False: it refuses an auto-link, whose detach follows.
    pub(in crate::core) fn confirm_auto_link(
        &mut self,
        slot: Slot<Link>,
        source: Option<&Source>,
        target: Option<&Target>,
    ) -> bool {
        let Link { id: link, conn, .. } = self.links[slot];
        let Some(&number) = self.auto_links.by_link.get(&link) else { return true };
        let Some(AutoLink { config, address, .. }) = self.auto_links.all.get(&number) else { return true };
        if !config.is_confirmed(source, target) {
            return false;
        }
        self.links[slot].terminus = config.address.as_deref().map(|text| Bytes::copy_from_slice(text.as_bytes()));
        if let Some(address) = *address {
            self.bind(slot, address);
        }
        let conn = self.conns[conn].id;
        if let Some(activation) = self.auto_links.activation(number, conn) {
            activation.phase = Phase::Active(link);
        }
        self.auto_links.begin_renaming(number, conn);
        true
    }

    /// The peer has detached a link. An auto-link is attached again later.
    pub(in crate::core) fn auto_link_detached(&mut self, link: LinkId, conn: Slot<Conn>, error: Option<&Error>) {
        let Some(number) = self.auto_links.by_link.remove(&link) else { return };
        self.auto_links.end_renaming(number, self.conns[conn].id);
        let Some(auto_link) = self.auto_links.all.get_mut(&number) else { return };
        let conn = &self.conns[conn];
        auto_link.last_error = error.and_then(|error| error.description.clone());
        let what = format!("Activation Failed. {}", auto_link.last_error.as_deref().unwrap_or_default());
        auto_link.report(number, conn, &what);
        if let Some(activation) = auto_link.activations.get_mut(&conn.id) {
            self.auto_links.retries.insert((activation.fail(self.now), number, conn.id));
        }
    }
}
