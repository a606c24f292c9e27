//! What an endpoint tells its owner.

use super::{Delivery, Excess};
use crate::core::effect::{PeerEvent, WatchCounts};
use crate::{InToken, LinkId, OutId};
use amqp_core::performative::{DeliveryState, Error};

/// Something that happened to an endpoint.
#[derive(Debug)]
pub enum Event {
    /// A delivery came in; as a whole, where the endpoint gathers messages.
    Delivery(Delivery),
    /// More is arriving than the endpoint gathers. Its owner settles the delivery.
    Oversized(Delivery, Excess),
    /// A stream that was named so has data, room, or its end.
    Ready(u64),
    /// A sender has more credit, or none because it was asked to give it up. More of it wakes nobody: it comes with what else
    /// there is.
    Credit {
        /// The sender.
        link: LinkId,
        /// What it has now.
        credit: u32,
    },
    /// State or settlement of what was sent.
    Update {
        /// The delivery.
        token: InToken,
        /// The new state.
        state: Option<DeliveryState>,
        /// It is settled.
        settled: bool,
    },
    /// State or settlement of what came in, by its sender.
    SenderUpdate {
        /// The delivery.
        delivery: OutId,
        /// The new state.
        state: Option<DeliveryState>,
        /// It is settled.
        settled: bool,
    },
    /// A delivery will not be whole: its sender aborted what was being gathered, or the router has taken it back.
    Withdrawn(OutId),
    /// The router has detached a link.
    Detached {
        /// The link.
        link: LinkId,
        /// Why.
        error: Option<Box<Error>>,
    },
    /// A peer did something that concerns what the endpoint serves, or a link that it has attached to the peer.
    Peer(PeerEvent),
    /// The endpoint is to be closed.
    Close(Option<Box<Error>>),
    /// What a watched address can reach has changed.
    Watch {
        /// The key given with the watch.
        key: u64,
        /// Destinations and producers now.
        counts: WatchCounts,
    },
}
