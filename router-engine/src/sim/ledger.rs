//! What was sent, who got it, and how it ended.

use amqp_core::message::{Body, Header, Message, MessageBuilder, Properties};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::sync::Arc;

/// How a delivery ended for its sender or at a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Accepted.
    Accepted,
    /// Rejected.
    Rejected,
    /// Released.
    Released,
    /// Modified.
    Modified,
}

/// A message copy that reached a receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    /// Client and the index of its link.
    pub(super) receiver: (usize, usize),
    /// What the receiver answered, as far as it could.
    pub(super) verdict: Option<Outcome>,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it went.
    pub address: String,
    /// Sent settled.
    pub settled: bool,
    /// Octets of body.
    pub size: usize,
    /// Its transmission began.
    pub started: bool,
    /// What the sender was told, at the end.
    pub outcome: Option<Outcome>,
    /// The sender's link was lost before an outcome came.
    pub lost: bool,
    /// Receivers must accept it.
    pub probe: bool,
    pub(super) copies: Vec<Copy>,
}

/// All messages of a run; a message is named by its index.
#[derive(Debug, Default)]
pub struct Ledger {
    records: Vec<Record>,
    /// What must never happen, as it happened.
    pub(super) faults: Vec<String>,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(state: &DeliveryState) -> Option<Self> {
        Some(match state {
            DeliveryState::Accepted => Self::Accepted,
            DeliveryState::Rejected(_) => Self::Rejected,
            DeliveryState::Released => Self::Released,
            DeliveryState::Modified(_) => Self::Modified,
            DeliveryState::Received { .. } | DeliveryState::Other { .. } => return None,
        })
    }

    pub(super) fn state(self) -> DeliveryState {
        match self {
            Self::Accepted => DeliveryState::Accepted,
            Self::Rejected => DeliveryState::Rejected(None),
            Self::Released => DeliveryState::Released,
            Self::Modified => DeliveryState::Modified(Arc::default()),
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// All messages.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Enters a new message.
    pub(super) fn add(&mut self, address: &str, size: usize, settled: bool, probe: bool) -> u64 {
        self.records.push(Record {
            address: address.to_owned(),
            settled,
            size,
            started: false,
            outcome: None,
            lost: false,
            probe,
            copies: Vec::new(),
        });
        self.records.len() as u64 - 1
    }

    /// The encoded message; `to` is for links without an address.
    pub(super) fn message(&self, id: u64, to: bool) -> Bytes {
        let record = &self.records[id as usize];
        let properties = Properties { to: to.then(|| record.address.clone()), ..Properties::default() };
        MessageBuilder::new().header(&Header::default()).properties(&properties).data(&body(id, record.size))
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Record> {
        self.records.get_mut(usize::try_from(id).ok()?)
    }

    /// The sender was told an outcome.
    pub(super) fn ended(&mut self, id: u64, outcome: Option<Outcome>) {
        let Some(record) = self.records.get_mut(id as usize) else { return };
        if record.outcome.is_some() || record.settled {
            self.faults.push(format!("message {id} ended twice: {outcome:?} after {:?}", record.outcome));
        } else if outcome.is_none() {
            self.faults.push(format!("message {id} was settled without an outcome"));
        }
        record.outcome = outcome;
    }

    /// A receiver has all octets of a message. Returns the message's name.
    pub(super) fn arrived(&mut self, octets: &[u8], receiver: (usize, usize)) -> Option<u64> {
        let id = match Message::decode(&[Bytes::copy_from_slice(octets)]).map(|m| m.body) {
            Ok(Body::Data(data)) => data.first_chunk::<8>().map(|id| (u64::from_be_bytes(*id), data.clone())),
            _ => None,
        };
        let Some((id, data)) = id.filter(|(id, _)| (*id as usize) < self.records.len()) else {
            self.faults.push(format!("receiver {receiver:?} got {} octets of garbage", octets.len()));
            return None;
        };
        let record = &mut self.records[id as usize];
        if data != body(id, record.size) {
            self.faults.push(format!("message {id} was changed on its way to {receiver:?}"));
        }
        // While routers disagree about the ways, multicast copies may come by several of them.
        let strict = record.probe || !record.address.starts_with("m/");
        if strict && record.copies.iter().any(|c| c.receiver == receiver) {
            self.faults.push(format!("message {id} came to {receiver:?} twice"));
        }
        record.copies.push(Copy { receiver, verdict: None });
        Some(id)
    }

    /// A receiver answered.
    pub(super) fn answered(&mut self, id: u64, receiver: (usize, usize), verdict: Outcome) {
        let Some(record) = self.records.get_mut(id as usize) else { return };
        if let Some(copy) = record.copies.iter_mut().find(|c| c.receiver == receiver && c.verdict.is_none()) {
            copy.verdict = Some(verdict);
        }
    }
}

/// The name of a message and a pattern that depends on it.
fn body(id: u64, size: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend((0..size.saturating_sub(8)).map(|i| (i as u64 ^ id ^ (i as u64 >> 8)) as u8));
    body
}
