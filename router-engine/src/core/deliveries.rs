//! Deliveries that the core remembers.

use super::action::InToken;
use super::ids::{InId, LinkId, OutId};
use super::objects::{Address, Link};
use super::table::{Hook, Slot, entry, listed};
use crate::annotations::{Annotations, flags};
use crate::index::{NeighbourIndex, NeighbourSet};
use crate::stream::Payload;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;
use std::collections::HashSet;

/// A delivery that came in.
#[derive(Debug)]
pub(crate) struct IncomingDelivery {
    pub(crate) id: InId,
    pub(crate) link: Slot<Link>,
    pub(crate) hook: Hook<Self>,
    pub(crate) token: InToken,
    pub(crate) presettled: bool,
    /// All frames are received.
    pub(crate) complete: bool,
    /// When it came; none for a stream, which may take its time.
    pub(crate) born: Option<Instant>,
    /// It counts as stuck.
    pub(crate) stuck: bool,
    pub(crate) multicast: bool,
    /// The copies that are still open.
    pub(crate) copies: SmallVec<[Slot<OutgoingDelivery>; 1]>,
    /// How many of them have no outcome yet.
    pub(crate) undecided: u32,
    /// The last state told to the sender, or, for multicast, the aggregated outcome so far.
    pub(crate) state: Option<DeliveryState>,
    /// A credit is owed to the link when the delivery is settled.
    pub(crate) credit_at_settlement: bool,
    /// Nobody waits to hear that it was accepted.
    pub(crate) unattended: bool,
    pub(crate) resend: Option<Box<Resend>>,
}

/// What is needed to forward a released delivery again (spec `amqp-endpoint.md` 14.6).
#[derive(Debug)]
pub(crate) struct Resend {
    /// Where to; the record is held.
    pub(crate) address: Slot<Address>,
    pub(crate) payload: Payload,
    pub(crate) annotations: Annotations,
    pub(crate) priority: u8,
    pub(crate) state: Option<DeliveryState>,
    pub(crate) refusals: Refusals,
}

/// Who has refused a delivery, or those that a TCP flow has sent one after the other.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) links: HashSet<LinkId, FxBuildHasher>,
    pub(crate) neighbours: NeighbourSet,
    /// How often all destinations had refused, and were asked anew (see [`flags::PASSES_BY`]).
    pub(crate) rounds: u32,
}

/// A copy of a delivery that goes out.
#[derive(Debug)]
pub(crate) struct OutgoingDelivery {
    pub(crate) id: OutId,
    pub(crate) link: Slot<Link>,
    /// The link that was chosen. A stream may have been moved from it, and that other link may carry another one by now.
    pub(crate) chosen: LinkId,
    pub(crate) hook: Hook<Self>,
    /// The incoming delivery, while it lives.
    pub(crate) origin: Option<Slot<IncomingDelivery>>,
    /// Index in the incoming delivery's `copies`.
    pub(crate) at: u32,
    pub(crate) presettled: bool,
    /// Nothing more of it will leave: reported for streams and pre-settled ones, concluded for others, and for streams of
    /// which the reader is gone.
    pub(crate) sent: bool,
    pub(crate) stream: bool,
    /// A terminal state was seen from the receiver.
    pub(crate) outcome: Option<DeliveryState>,
    /// The neighbour that was chosen, on whichever connection of its group.
    pub(crate) neighbour: Option<NeighbourIndex>,
    /// The address that counts it as outstanding at the neighbour.
    pub(crate) outstanding: Option<Slot<Address>>,
    pub(crate) born: Instant,
    /// It counts as stuck.
    pub(crate) stuck: bool,
}

entry!(IncomingDelivery, InId);
entry!(OutgoingDelivery, OutId);
listed!(IncomingDelivery);
listed!(OutgoingDelivery);

// === impl Refusals ===

impl Refusals {
    /// All destinations have refused. Behind each of them there may be others: those are asked in the rounds to come.
    pub(crate) fn begin_round(&mut self) {
        *self = Self { rounds: self.rounds + 1, ..Self::default() };
    }

    /// Flags for the sender's next delivery.
    pub(crate) const fn flags(&self) -> u32 {
        (self.rounds * flags::PASS_BY_ONE) & flags::PASSES_BY
    }

    /// The destination of a copy has refused it: the neighbour, whichever connection of its group took the copy, or the link.
    pub(crate) fn add(&mut self, copy: &OutgoingDelivery) {
        match copy.neighbour {
            Some(neighbour) => self.neighbours.insert(neighbour),
            None => {
                self.links.insert(copy.chosen);
            }
        }
    }
}

// === impl OutgoingDelivery ===

impl OutgoingDelivery {
    /// Whether it is known not to have left yet; of unsettled ones without a stream that is not known.
    pub(crate) const fn waits(&self) -> bool {
        (self.stream || self.presettled) && !self.sent
    }
}
