//! The AMQP performatives (part 2, 2.7) and the composite types inside them (parts 2 and 3).

mod decode;
mod display;
mod encode;
mod state;
mod terminus;

#[cfg(test)]
mod tests;

pub use display::FrameBody;
pub use terminus::DEFAULT_EXPIRY_POLICY;

use crate::value::{Map, RawMap, Symbol, Value};
use bytes::Bytes;
use smallvec::SmallVec;
use std::sync::Arc;

/// A delivery tag: at most 32 octets (part 2, 2.8.7).
pub type DeliveryTag = SmallVec<[u8; 32]>;

/// The link role of the sender of an attach or disposition (part 2, 2.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Encoded as false.
    Sender,
    /// Encoded as true.
    Receiver,
}

/// One frame body of an AMQP frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Performative {
    /// 0x10.
    Open(Box<Open>),
    /// 0x11.
    Begin(Box<Begin>),
    /// 0x12.
    Attach(Box<Attach>),
    /// 0x13.
    Flow(Flow),
    /// 0x14.
    Transfer(Transfer),
    /// 0x15.
    Disposition(Disposition),
    /// 0x16.
    Detach(Detach),
    /// 0x17.
    End(End),
    /// 0x18.
    Close(Close),
}

/// The open performative (part 2, 2.7.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Open {
    /// The id of the source container.
    pub container_id: String,
    /// The name of the target host.
    pub hostname: Option<String>,
    /// Octets; absent means 4294967295.
    pub max_frame_size: Option<u32>,
    /// Absent means 65535.
    pub channel_max: Option<u16>,
    /// Milliseconds.
    pub idle_time_out: Option<u32>,
    /// Locales available for outgoing text.
    pub outgoing_locales: Vec<Symbol>,
    /// Desired locales for incoming text.
    pub incoming_locales: Vec<Symbol>,
    /// Extensions that the sender supports.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the sender may use.
    pub desired_capabilities: Vec<Symbol>,
    /// Connection properties, in order.
    pub properties: Option<Map>,
}

/// The begin performative (part 2, 2.7.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Begin {
    /// Set in an answer: the channel that the peer began on.
    pub remote_channel: Option<u16>,
    /// The transfer-id of the next transfer.
    pub next_outgoing_id: u32,
    /// Transfers.
    pub incoming_window: u32,
    /// Transfers.
    pub outgoing_window: u32,
    /// Absent means 4294967295.
    pub handle_max: Option<u32>,
    /// Extensions that the sender supports.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the sender may use.
    pub desired_capabilities: Vec<Symbol>,
    /// Session properties.
    pub properties: Option<Map>,
}

/// A link source (part 3, 3.5.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// The address; `None` when absent or null.
    pub address: Option<String>,
    /// 0 none, 1 configuration, 2 unsettled-state.
    pub durable: u32,
    /// Absent means session-end.
    pub expiry_policy: Option<Symbol>,
    /// Seconds.
    pub timeout: u32,
    /// Ask for a dynamically created node.
    pub dynamic: bool,
    /// Properties of a dynamic node.
    pub dynamic_node_properties: Option<Map>,
    /// `move` or `copy`.
    pub distribution_mode: Option<Symbol>,
    /// Filters, opaque here.
    pub filter: Option<Value>,
    /// The default outcome, opaque here.
    pub default_outcome: Option<Value>,
    /// Outcome symbols.
    pub outcomes: Vec<Symbol>,
    /// Capabilities; a single symbol on the wire reads as one element.
    pub capabilities: Vec<Symbol>,
}

/// A link target (part 3, 3.5.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    /// The address; `None` when absent or null.
    pub address: Option<String>,
    /// 0 none, 1 configuration, 2 unsettled-state.
    pub durable: u32,
    /// Absent means session-end.
    pub expiry_policy: Option<Symbol>,
    /// Seconds.
    pub timeout: u32,
    /// Ask for a dynamically created node.
    pub dynamic: bool,
    /// Properties of a dynamic node.
    pub dynamic_node_properties: Option<Map>,
    /// Capabilities; a single symbol on the wire reads as one element.
    pub capabilities: Vec<Symbol>,
    /// The terminus was a transaction coordinator (part 4, 4.5.1); it reads as a target without address.
    pub coordinator: bool,
}

/// The attach performative (part 2, 2.7.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Attach {
    /// The link name.
    pub name: String,
    /// The handle, chosen by the sender of the attach.
    pub handle: u32,
    /// The role of the sender of the attach.
    pub role: Role,
    /// 0 unsettled, 1 settled, 2 mixed; absent means 2.
    pub snd_settle_mode: Option<u8>,
    /// 0 first, 1 second; absent means 0.
    pub rcv_settle_mode: Option<u8>,
    /// The source.
    pub source: Option<Box<Source>>,
    /// The target.
    pub target: Option<Box<Target>>,
    /// Unsettled map, opaque here.
    pub unsettled: Option<Map>,
    /// The unsettled map is incomplete.
    pub incomplete_unsettled: bool,
    /// Mandatory for a sender.
    pub initial_delivery_count: Option<u32>,
    /// Octets; absent or 0 means no limit.
    pub max_message_size: Option<u64>,
    /// Extensions that the sender supports.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the sender may use.
    pub desired_capabilities: Vec<Symbol>,
    /// Link properties.
    pub properties: Option<Map>,
}

/// The flow performative (part 2, 2.7.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flow {
    /// Absent only before the peer's begin has been seen.
    pub next_incoming_id: Option<u32>,
    /// Transfers.
    pub incoming_window: u32,
    /// The transfer-id of the next transfer.
    pub next_outgoing_id: u32,
    /// Transfers.
    pub outgoing_window: u32,
    /// Present when the flow is about a link.
    pub handle: Option<u32>,
    /// The link's delivery-count.
    pub delivery_count: Option<u32>,
    /// The link's credit.
    pub link_credit: Option<u32>,
    /// Messages waiting at the sender.
    pub available: Option<u32>,
    /// Drain mode.
    pub drain: bool,
    /// Ask for a flow in return.
    pub echo: bool,
    /// Link state properties.
    pub properties: Option<Map>,
}

/// The transfer performative (part 2, 2.7.5), without its payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transfer {
    /// The link's handle.
    pub handle: u32,
    /// Mandatory on the first transfer of a delivery.
    pub delivery_id: Option<u32>,
    /// Mandatory on the first transfer of a delivery.
    pub delivery_tag: Option<DeliveryTag>,
    /// Mandatory on the first transfer of a delivery.
    pub message_format: Option<u32>,
    /// Settled at the sender.
    pub settled: Option<bool>,
    /// More transfers follow for this delivery.
    pub more: bool,
    /// 0 first, 1 second.
    pub rcv_settle_mode: Option<u8>,
    /// The state of the delivery at the sender.
    pub state: Option<DeliveryState>,
    /// A resumed delivery.
    pub resume: bool,
    /// The delivery is aborted.
    pub aborted: bool,
    /// A hint that no quick disposition is needed.
    pub batchable: bool,
}

/// The disposition performative (part 2, 2.7.6).
#[derive(Debug, Clone, PartialEq)]
pub struct Disposition {
    /// The role of the sender of the disposition.
    pub role: Role,
    /// The first delivery-id.
    pub first: u32,
    /// The last delivery-id; absent means `first`.
    pub last: Option<u32>,
    /// The deliveries are settled at the sender.
    pub settled: bool,
    /// The state of all the deliveries.
    pub state: Option<DeliveryState>,
    /// A hint that no quick answer is needed.
    pub batchable: bool,
}

/// The detach performative (part 2, 2.7.7).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detach {
    /// The link's handle.
    pub handle: u32,
    /// Close the link, not merely suspend it.
    pub closed: bool,
    /// Why.
    pub error: Option<Box<Error>>,
}

/// The end performative (part 2, 2.7.8).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct End {
    /// Why.
    pub error: Option<Box<Error>>,
}

/// The close performative (part 2, 2.7.9).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Close {
    /// Why.
    pub error: Option<Box<Error>>,
}

/// An AMQP error (part 2, 2.8.14).
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// The condition, for instance `amqp:not-found`.
    pub condition: Symbol,
    /// Text for people.
    pub description: Option<String>,
    /// More about the error.
    pub info: Option<RawMap>,
}

/// The fields of the modified outcome (part 3, 3.4.5).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Modified {
    /// Count the delivery as failed.
    pub delivery_failed: bool,
    /// Do not deliver here again.
    pub undeliverable_here: bool,
    /// Annotations to merge.
    pub message_annotations: Option<RawMap>,
}

/// A delivery state or outcome (part 3, 3.4; part 4 states pass as [`DeliveryState::Other`]). A clone is cheap: one
/// disposition may be about any number of deliveries.
#[derive(Debug, Clone, PartialEq)]
pub enum DeliveryState {
    /// 0x23: received, not terminal.
    Received {
        /// The section number.
        section_number: u32,
        /// The octet within the section.
        section_offset: u64,
    },
    /// 0x24.
    Accepted,
    /// 0x25.
    Rejected(Option<Arc<Error>>),
    /// 0x26.
    Released,
    /// 0x27.
    Modified(Arc<Modified>),
    /// Any other described list, for instance declared (0x33) and transactional-state (0x34).
    Other {
        /// The numeric descriptor.
        descriptor: u64,
        /// The encoded list that follows the descriptor, including its constructor.
        fields: Bytes,
    },
}
