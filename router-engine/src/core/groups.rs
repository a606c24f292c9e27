//! Connection groups: a control connection to a neighbour and the data connections beside it, which carry its streams
//! (spec `inter-router-protocol.md` sections 2.5, 12.2).
//!
//! ```text
//!            member of a group ---its control connection is lost---> unallocated
//!            ^        |                                               ^   |
//!  opened ---+---ends at another router than the control connection---+   |
//!            '-----------a control connection of the group opens----------'
//! ```
//!
//! The connections of a group may be dealt to several routers by a balancer between. One that ends at another router
//! than the control connection gets no streams. Whoever has made it closes it and tries again.

use super::Core;
use super::effect::Effect;
use super::objects::Conn;
use super::report;
use super::table::Slot;

impl Core {
    /// Name and generation of the group that a connection belongs to; the name is empty if it belongs to none.
    pub(super) fn group(&self, conn: Slot<Conn>) -> Option<(String, u64)> {
        let router = self.conns.get(conn)?.router.as_ref()?;
        Some((router.correlator.clone().unwrap_or_default(), router.ordinal))
    }

    fn is_of_group(&self, conn: Slot<Conn>, correlator: &str, ordinal: u64) -> bool {
        let router = self.conns.get(conn).and_then(|conn| conn.router.as_ref());
        router.is_some_and(|r| r.correlator.as_deref() == Some(correlator) && r.ordinal == ordinal)
    }

    pub(super) fn data_connection_opened(&mut self, conn: Slot<Conn>) {
        let Some((correlator, ordinal)) = self.group(conn) else { return };
        let mut controls = self.neighbours.active.iter().flatten().copied();
        let control = controls.find(|&c| !correlator.is_empty() && self.is_of_group(c, &correlator, ordinal));
        let id = self.conns[conn].id;
        report::group(&correlator, format_args!("adding member [C{id}] with ordinal={ordinal}"));
        match control {
            Some(control) if self.admits(control, conn) => {
                let parent = self.conns[control].id;
                report::group(&correlator, format_args!("member [C{id}] added to parent [C{parent}]"));
                if let Some(router) = self.conns[control].router.as_mut() {
                    router.members.push(conn);
                }
            }
            Some(_) => self.neighbours.unallocated.push(conn),
            None => {
                self.neighbours.unallocated.push(conn);
                report::group(&correlator, format_args!("parent not present moving [C{id}] to unallocated"));
            }
        }
    }

    /// A control connection takes the data connections of its group that wait for one.
    pub(super) fn gather_members(&mut self, control: Slot<Conn>, correlator: &str, ordinal: u64) {
        let waiting = std::mem::take(&mut self.neighbours.unallocated);
        let of_group = |&data: &Slot<Conn>| self.is_of_group(data, correlator, ordinal);
        let (ours, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(of_group);
        self.neighbours.unallocated = others;
        let parent = self.conns[control].id;
        let (members, strangers) = ours.into_iter().partition(|&data| self.admits(control, data));
        for &member in &members {
            let member: Slot<Conn> = member;
            let moved = self.conns[member].id;
            report::group(correlator, format_args!("moving member [C{moved}] to parent [C{parent}]"));
        }
        if let Some(router) = self.conns[control].router.as_mut() {
            router.members = members;
        }
        self.neighbours.unallocated.extend::<Vec<_>>(strangers);
    }

    /// Whether a data connection ends where the control connection of its group does.
    fn admits(&mut self, control: Slot<Conn>, data: Slot<Conn>) -> bool {
        let container = |conn: Slot<Conn>| self.conns[conn].peer.as_ref().map(|peer| &*peer.container_id);
        let (end, wanted) = (container(data).unwrap_or_default(), container(control).unwrap_or_default());
        if end == wanted {
            return true;
        }
        let split_with = self.conns[control].router.as_ref().and_then(|router| router.split_with.as_deref());
        let (ids, is_news) = ((self.conns[data].id, self.conns[control].id), split_with != Some(end));
        report::split_group(is_news, (end, ids.0), (wanted, ids.1));
        let end = end.to_owned();
        if let Some(router) = self.conns[control].router.as_mut() {
            router.split_with = Some(end);
        }
        if self.conns[data].params.initiator {
            self.stage(data, Effect::Close { error: None, hard: false });
        }
        false
    }

    /// A connection of any group is gone.
    pub(super) fn leave_group(&mut self, conn: Slot<Conn>) {
        self.neighbours.unallocated.retain(|&c| c != conn);
        for control in self.neighbours.active.iter().flatten() {
            if let Some(router) = self.conns[*control].router.as_mut() {
                router.members.retain(|&c| c != conn);
            }
        }
    }
}
