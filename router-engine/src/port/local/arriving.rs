//! Messages that arrive in parts.

use super::Delivery;
use crate::stream::{CHUNK_COST, Notify, Pull, Reader};
use crate::{Mailbox, OutId};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Keys from here on are those of arriving messages; lower ones are the owner's.
const FIRST_KEY: u64 = 1 << 63;
/// Octets pulled from a stream at a time.
const PULL: usize = 64 * 1024;

/// How much an endpoint gathers, in octets, with [`CHUNK_COST`] for each piece.
#[derive(Debug, Clone, Copy)]
pub struct GatherLimits {
    /// Of one message.
    pub message: usize,
    /// Of all that are arriving.
    pub total: usize,
}

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The message is too large.
    Message,
    /// Too much is arriving at a time.
    Total,
}

/// What has become of a message that was arriving.
pub(super) enum Arrived {
    Whole(Delivery),
    Aborted(Delivery),
    Oversized(Delivery, Excess),
}

/// The messages that are arriving.
#[derive(Debug)]
pub(super) struct Gatherer {
    limits: GatherLimits,
    arriving: HashMap<u64, IncomingDelivery>,
    /// Octets of all these together.
    held: usize,
    next_key: u64,
}

#[derive(Debug)]
struct IncomingDelivery {
    delivery: Delivery,
    reader: Reader,
    chunks: VecDeque<Bytes>,
    /// Octets in `chunks`, with what each chunk costs.
    size: usize,
}

// === impl Gatherer ===

impl Gatherer {
    pub(super) fn new(limits: GatherLimits) -> Self {
        Self { limits, arriving: HashMap::new(), held: 0, next_key: FIRST_KEY }
    }

    /// Octets held.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Takes what there is of a new message. `None` while more is to come.
    pub(super) fn begin(&mut self, mut delivery: Delivery, mailbox: &Arc<Mailbox>) -> Option<Arrived> {
        if delivery.message().is_some() {
            return Some(Arrived::Whole(delivery));
        }
        let key = self.next_key;
        self.next_key += 1;
        let reader = delivery.take_reader(Notify { mailbox: Arc::clone(mailbox), key });
        self.arriving.insert(key, IncomingDelivery { delivery, reader, chunks: VecDeque::new(), size: 0 });
        self.advance(key)
    }

    /// Whether a key is that of an arriving message, maybe of one that is gone.
    pub(super) const fn owns(key: u64) -> bool {
        key >= FIRST_KEY
    }

    /// Takes what there is of an arriving message. `None` while more is to come.
    pub(super) fn advance(&mut self, key: u64) -> Option<Arrived> {
        let arriving = self.arriving.get_mut(&key)?;
        let end = loop {
            let (pull, octets) = arriving.pull();
            self.held += octets;
            let excess = arriving.size > self.limits.message || self.held > self.limits.total;
            if excess || pull != Pull::Data {
                break pull;
            }
        };
        let (too_large, too_many) = (arriving.size > self.limits.message, self.held > self.limits.total);
        if end == Pull::Empty && !(too_large || too_many) {
            return None;
        }
        let IncomingDelivery { mut delivery, chunks, .. } = self.remove(key)?;
        Some(match end {
            Pull::Aborted => Arrived::Aborted(delivery),
            _ if too_large => Arrived::Oversized(delivery, Excess::Message),
            _ if too_many => Arrived::Oversized(delivery, Excess::Total),
            _ => {
                delivery.complete(chunks.into());
                Arrived::Whole(delivery)
            }
        })
    }

    /// Gives a message up, if it is one of these.
    pub(super) fn withdraw(&mut self, id: OutId) {
        let key = self.arriving.iter().find(|(_, arriving)| arriving.delivery.id() == id).map(|(&key, _)| key);
        if let Some(arriving) = key.and_then(|key| self.remove(key)) {
            arriving.delivery.forget();
        }
    }

    fn remove(&mut self, key: u64) -> Option<IncomingDelivery> {
        let arriving = self.arriving.remove(&key)?;
        self.held -= arriving.size;
        Some(arriving)
    }
}

// === impl IncomingDelivery ===

impl IncomingDelivery {
    /// Takes some of the message, and tells how many octets more are held.
    fn pull(&mut self) -> (Pull, usize) {
        let known = self.chunks.len();
        let pull = self.reader.pull(PULL, &mut self.chunks);
        let octets = self.chunks.range(known..).map(|chunk| chunk.len() + CHUNK_COST).sum();
        self.size += octets;
        (pull, octets)
    }
}
