//! Where the messages that leave the network by a link have entered it.

use super::Core;
use super::action::Direction;
use super::connection::PeerKind;
use super::objects::Link;
use super::table::Slot;
use crate::annotations::Annotations;
use crate::index::{LISTED_ROUTERS, NodeIndex};
use smallvec::SmallVec;

/// Deliveries by the router where they entered the network. Most links see messages of one or two.
#[derive(Debug, Default)]
pub(crate) struct IngressHistogram(SmallVec<[(NodeIndex, u64); 1]>);

// === impl IngressHistogram ===

impl IngressHistogram {
    fn add(&mut self, node: NodeIndex) {
        match self.0.iter_mut().find(|(known, _)| *known == node) {
            Some((_, count)) => *count += 1,
            None => self.0.push((node, 1)),
        }
    }

    /// The count of each router by its index.
    pub(crate) fn counts(&self) -> Vec<u64> {
        by_number(self.0.iter().map(|(node, count)| (node.get(), *count)))
    }
}

/// Counts at the places of their numbers, as management lists them.
pub(crate) fn by_number(counted: impl Iterator<Item = (usize, u64)>) -> Vec<u64> {
    let mut counts = vec![0; LISTED_ROUTERS];
    for (number, count) in counted {
        if counts.len() <= number {
            counts.resize(number + 1, 0);
        }
        counts[number] = count;
    }
    counts
}

// === impl Core ===

impl Core {
    /// Whether deliveries of a link are counted by where they entered the network: where AMQP peers take them out of it.
    pub(super) fn has_histogram(&self, link: &Link) -> bool {
        let is_end = |conn: &super::Conn| conn.params.kind == PeerKind::Amqp && !conn.role.is_inter_router();
        link.direction == Direction::Out && self.conns.get(link.conn).is_some_and(is_end)
    }

    /// Counts a delivery that goes out by where it entered the network.
    pub(super) fn count_origin(&mut self, link: Slot<Link>, annotations: &Annotations) {
        if !self.has_histogram(&self.links[link]) {
            return;
        }
        let node = match annotations.ingress.as_deref() {
            None => Some(NodeIndex::OWN),
            Some(ingress) => self.plane.routing().origin(ingress),
        };
        if let Some(node) = node {
            self.links[link].ingress.add(node);
        }
    }
}
