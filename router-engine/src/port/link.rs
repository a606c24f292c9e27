//! What a port keeps of a link.

use super::message_log::Ends;
use super::policed::Check;
use super::weight::Scale;
use crate::annotations::Annotations;
use crate::core::LinkGauge;
use crate::core::action::Direction;
use crate::core::effect::{CutThrough, Push};
use crate::core::ids::{InId, LinkId, OutId};
#[cfg(doc)]
use crate::stream::CHUNK_COST;
use crate::stream::{Finish, Reader, Stream};
use amqp_core::engine::{DeliveryKey, LinkKey, SessionKey};
use amqp_core::message::SectionScanner;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::VecDeque;
use std::sync::Arc;

/// One link.
#[derive(Debug)]
pub(super) struct PortLink {
    /// The engine's name for it.
    pub(super) key: LinkKey,
    /// The core's name for it; `None` until the core has answered the peer's attach.
    pub(super) id: Option<LinkId>,
    pub(super) session: SessionKey,
    /// The session ends with the link.
    pub(super) owns_session: bool,
    /// The peer detached before the core had answered its attach.
    pub(super) gone: bool,
    /// Policy counts it among the peer's links.
    pub(super) counted: bool,
    /// Router annotations are read or written.
    pub(super) annotations: bool,
    /// Rank among outgoing links, 0..=9; higher ones are served first.
    pub(super) priority: u8,
    /// Only where messages are logged.
    pub(super) ends: Option<Ends>,
    pub(super) end: End,
}

/// Which end of the link is ours.
#[derive(Debug)]
pub(super) enum End {
    /// The peer sends.
    In(InLink),
    /// The router sends.
    Out(OutLink),
}

/// The receiving end.
#[derive(Debug, Default)]
pub(super) struct InLink {
    pub(super) anonymous: bool,
    /// What policy wants to be seen to on messages.
    pub(super) check: Check,
    pub(super) cut_through: CutThrough,
    /// A delivery of which more frames are due.
    pub(super) current: Option<Box<IncomingDelivery>>,
    /// What comes is kept until it is settled, to be sent again.
    pub(super) resend_released: bool,
    /// What waits of the whole messages that came.
    pub(super) scale: Option<Arc<Scale>>,
    /// So much waits that the sender was told to stop.
    pub(super) weighed_down: bool,
    /// Frames kept for full streams.
    pub(super) kept: u32,
    /// So many are kept that the sender was told to stop.
    pub(super) stalled: bool,
}

/// A delivery that is still arriving.
#[derive(Debug)]
pub(super) struct IncomingDelivery {
    pub(super) delivery: DeliveryKey,
    /// Settled by the peer from the first frame on.
    pub(super) presettled: bool,
    /// Settled by the peer, now or at the start.
    pub(super) settled: bool,
    pub(super) state: Option<DeliveryState>,
    /// How it ends, once its last frame has come.
    pub(super) finish: Finish,
    pub(super) phase: Phase,
    /// Octets that have come, where policy limits them.
    pub(super) received: u64,
    /// They are too many: the connection ends when the rest has come.
    pub(super) oversize: bool,
    /// What to tell the sender, with settlement, after the last frame.
    pub(super) verdict: Option<Option<DeliveryState>>,
}

/// What becomes of a delivery that is still arriving.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives in a box, and every delivery of several frames begins as Held")]
pub(super) enum Phase {
    /// Kept until it is complete, or found to be a stream.
    Held(Held),
    /// Forwarded as it arrives.
    Streaming {
        stream: Arc<Stream>,
        id: Option<InId>,
        /// How the stream tells that it has room again.
        key: u64,
        /// Its sender takes grants.
        wide: bool,
    },
    /// Read and thrown away.
    Discarded,
}

/// The beginning of a delivery.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) chunks: Vec<Bytes>,
    /// Octets in `chunks`, with [`CHUNK_COST`] for each.
    pub(super) octets: usize,
    pub(super) scanner: SectionScanner,
    /// What the first sections tell, once they are there.
    pub(super) head: Option<Head>,
}

/// What the first sections of a message tell.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) annotations: Annotations,
    pub(super) to: Option<Bytes>,
    pub(super) priority: u8,
    /// Octets of the router annotations section in front of the message.
    pub(super) strip: usize,
}

/// The sending end.
#[derive(Debug, Default)]
pub(super) struct OutLink {
    /// Deliveries that wait, oldest first.
    pub(super) queue: VecDeque<Box<Push>>,
    /// How many in the queue are settled.
    pub(super) settled: usize,
    /// The delivery on its way out.
    pub(super) current: Option<Box<OutgoingDelivery>>,
    /// Listed in the ready queue.
    pub(super) ready: bool,
    /// Listed among the links that wait for a session window.
    pub(super) blocked: bool,
    /// Whoever sends on the link uses all credit up when the peer drains it: there is no other answer.
    pub(super) credit_is_used_up: bool,
    /// The peer's drain request waits for an answer.
    pub(super) drain: bool,
    /// A flow came before the core had answered the attach.
    pub(super) early_credit: bool,
    /// Where to count unsettled whole messages that leave.
    pub(super) gauge: Option<Arc<LinkGauge>>,
}

/// A delivery on its way out that did not leave in one go.
#[derive(Debug)]
pub(super) struct OutgoingDelivery {
    pub(super) id: OutId,
    pub(super) settled: bool,
    /// The core wants to know when it has left.
    pub(super) report: bool,
    pub(super) state: Option<DeliveryState>,
    /// Octets to send before anything that the reader gives.
    pub(super) buffer: VecDeque<Bytes>,
    /// Where the rest comes from; `None` when the buffer has it all.
    pub(super) reader: Option<Reader>,
    /// How it ends, once the buffer has it all.
    pub(super) finish: Finish,
    /// The engine knows of it.
    pub(super) started: bool,
    /// The sender has settled: to be told with the last frame.
    pub(super) settle_last: bool,
    /// Its sender takes grants.
    pub(super) wide: bool,
}

/// The links of a port.
#[derive(Debug, Default)]
pub(super) struct Links {
    slab: Slab<PortLink>,
    by_id: FxHashMap<LinkId, u32>,
    /// From the engine's slots.
    by_slot: Vec<u32>,
}

const NONE: u32 = u32::MAX;

// === impl PortLink ===

impl OutLink {
    /// An unsettled whole message has left, or will not leave as such.
    pub(super) fn count_left(&self) {
        if let Some(gauge) = &self.gauge {
            gauge.add_one();
        }
    }
}

impl PortLink {
    /// A link that has just appeared.
    pub(super) fn new(key: LinkKey, session: SessionKey, direction: Direction) -> Self {
        Self {
            key,
            id: None,
            session,
            owns_session: false,
            gone: false,
            counted: false,
            annotations: false,
            priority: 4,
            ends: None,
            end: match direction {
                Direction::In => End::In(InLink::default()),
                Direction::Out => End::Out(OutLink::default()),
            },
        }
    }

    /// Which way messages go.
    pub(super) const fn direction(&self) -> Direction {
        match self.end {
            End::In(_) => Direction::In,
            End::Out(_) => Direction::Out,
        }
    }

    /// The sending end.
    pub(super) fn out(&mut self) -> Option<&mut OutLink> {
        match &mut self.end {
            End::Out(out) => Some(out),
            End::In(_) => None,
        }
    }

    /// The receiving end.
    pub(super) fn incoming(&mut self) -> Option<&mut InLink> {
        match &mut self.end {
            End::In(incoming) => Some(incoming),
            End::Out(_) => None,
        }
    }
}

// === impl OutLink ===

impl OutLink {
    fn weight(&self) -> usize {
        let queue: usize = self.queue.iter().map(|push| push.payload.octets()).sum();
        let current = self.current.as_deref().map_or(0, |leaving| {
            let buffer: usize = leaving.buffer.iter().map(Bytes::len).sum();
            buffer + leaving.reader.as_ref().map_or(0, |reader| reader.stream().buffered())
        });
        queue + current
    }
}

// === impl Links ===

impl Links {
    pub(super) fn insert(&mut self, link: PortLink) -> u32 {
        if self.slab.len() < 4 {
            self.slab.reserve_exact(1);
        }
        let slot = link.key.slot as usize;
        let id = link.id;
        let idx = u32::try_from(self.slab.insert(link)).unwrap_or(NONE);
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, NONE);
        }
        self.by_slot[slot] = idx;
        if let Some(id) = id {
            self.by_id.insert(id, idx);
        }
        idx
    }

    /// Notes the core's name of a link.
    pub(super) fn name(&mut self, idx: u32, id: LinkId) {
        if let Some(link) = self.get_mut(idx) {
            link.id = Some(id);
            self.by_id.insert(id, idx);
        }
    }

    pub(super) fn get(&self, idx: u32) -> Option<&PortLink> {
        self.slab.get(idx as usize)
    }

    pub(super) fn get_mut(&mut self, idx: u32) -> Option<&mut PortLink> {
        self.slab.get_mut(idx as usize)
    }

    pub(super) fn by_id(&self, id: LinkId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn by_key(&self, key: LinkKey) -> Option<u32> {
        let idx = *self.by_slot.get(key.slot as usize)?;
        self.get(idx).filter(|l| l.key == key && !l.gone).map(|_| idx)
    }

    pub(super) fn remove(&mut self, idx: u32) -> Option<PortLink> {
        let link = self.slab.try_remove(idx as usize)?;
        if let Some(id) = link.id {
            self.by_id.remove(&id);
        }
        if let Some(slot) = self.by_slot.get_mut(link.key.slot as usize)
            && *slot == idx
        {
            *slot = NONE;
        }
        if self.slab.is_empty() {
            *self = Self::default();
        }
        Some(link)
    }

    /// The indices of all links.
    pub(super) fn indices(&self) -> Vec<u32> {
        self.slab.iter().filter_map(|(idx, _)| u32::try_from(idx).ok()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Octets of what waits to be sent, and of what arrives and goes nowhere yet.
    pub(super) fn weight(&self) -> usize {
        let links = self.slab.iter().map(|(_, link)| match &link.end {
            End::In(InLink { current: Some(arriving), .. }) => match &arriving.phase {
                Phase::Held(held) => held.octets,
                Phase::Streaming { .. } | Phase::Discarded => 0,
            },
            End::In(_) => 0,
            End::Out(out) => out.weight(),
        });
        links.sum()
    }

    /// Octets of the deliveries that are still arriving.
    pub(super) fn held(&self) -> usize {
        let current = self.slab.iter().filter_map(|(_, link)| match &link.end {
            End::In(incoming) => incoming.current.as_deref(),
            End::Out(_) => None,
        });
        let held = current.map(|arriving| match &arriving.phase {
            Phase::Held(held) => held.octets,
            Phase::Streaming { stream, .. } => stream.buffered(),
            Phase::Discarded => 0,
        });
        held.sum()
    }
}

/// The key under which the streams that leave by a link notify the port. Its highest bit is clear.
pub(super) fn notify_key(idx: u32, key: LinkKey) -> u64 {
    u64::from(key.serial & 0x7fff_ffff) << 32 | u64::from(idx)
}

/// The index in a [`notify_key`], if the link is still the one it was made for.
pub(super) fn notified(links: &Links, key: u64) -> Option<u32> {
    let idx = (key & 0xffff_ffff) as u32;
    let link = links.get(idx)?;
    (notify_key(idx, link.key) == key).then_some(idx)
}
