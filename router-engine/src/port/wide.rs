//! What the opens of two routers agree upon, so that a TCP flow between them may have a window as wide as its path needs.
//!
//! ```text
//!  open: qd.wide-windows=1 -->    <-- qd.wide-windows=1       agreed
//!
//!  stream, flag WIDE ------> router -- flag kept if the next hop has agreed, else cleared --> receiver
//!                              <--- received, section-number: grant in units of 64 KiB ---------'
//!                              kept if that hop has agreed and memory is not scarce, else 0
//! ```
//!
//! So a receiver that sees the flag knows that its sender and all routers between them know what a grant is, and a sender
//! that sees a grant knows the same of its receiver. The property is of this router's making; others do not offer it.

use super::AmqpPort;
use super::limits::UNBOUNDED_STREAM;
use super::params::PortParams;
use crate::annotations::flags;
use crate::memory::{BUDGET, Level};
use crate::stream::StreamLimits;
use amqp_core::performative::DeliveryState;
use amqp_core::value::{Map, Value};

/// The version of what is agreed upon, uint.
const PROPERTY: &str = "qd.wide-windows";

/// The only one so far.
const VERSION: u32 = 1;

/// Octets of one in a grant.
const UNIT: usize = 64 * 1024;

/// The widest grant that a router makes room for.
const WIDEST: u32 = 1024;

/// Whether they are offered on a connection.
const fn offers(params: &PortParams) -> bool {
    params.wide_windows && params.conn.role.is_within_network()
}

/// The property of an open with an offer.
pub(super) fn property(params: &PortParams) -> Option<(&'static str, Value)> {
    offers(params).then_some((PROPERTY, Value::Uint(VERSION)))
}

/// Whether both ends know of grants.
pub(super) fn is_agreed(params: &PortParams, peer: &Map) -> bool {
    let version = || peer.get(PROPERTY).and_then(Value::as_u64);
    offers(params) && version().is_some_and(|version| version >= u64::from(VERSION))
}

/// The bounds of an incoming stream whose receiver has granted so much: it holds that, and what one without a grant may.
pub(super) fn limits(grant: u32) -> StreamLimits {
    let more = grant.min(WIDEST) as usize * UNIT;
    StreamLimits { high: UNBOUNDED_STREAM.high + more, low: UNBOUNDED_STREAM.low + more / 2 }
}

// === impl AmqpPort ===

impl AmqpPort {
    /// The flags of annotations that the peer knows.
    pub(super) const fn known(&self, flags: u32) -> u32 {
        if self.wide { flags } else { flags & !flags::WIDE }
    }

    /// What a receiver tells of a stream of a sender that takes grants: without one where the receiver cannot know what it
    /// is, or where it would be too much for this router.
    pub(super) fn tempered(&self, state: DeliveryState) -> DeliveryState {
        match state {
            DeliveryState::Received { section_offset, .. } if !self.wide || BUDGET.level() >= Level::Slow => {
                DeliveryState::Received { section_number: 0, section_offset }
            }
            state => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::connection::{ConnParams, ConnectionRole};

    fn params(role: ConnectionRole) -> PortParams {
        PortParams::new(ConnParams::amqp(role))
    }

    fn told(version: impl Into<Value>) -> Map {
        Map::new().with(Value::symbol(PROPERTY), version.into())
    }

    #[test]
    fn only_routers_of_the_network_agree() {
        use ConnectionRole::{Edge, InterEdge, InterNetwork, InterRouter, InterRouterData, Normal, RouteContainer};
        for (role, agrees) in [
            (InterRouter, true),
            (InterRouterData, true),
            (Edge, true),
            (InterEdge, true),
            (InterNetwork, false),
            (Normal, false),
            (RouteContainer, false),
        ] {
            let params = params(role);
            let theirs = told(Value::Uint(1));
            assert_eq!((property(&params).is_some(), is_agreed(&params, &theirs)), (agrees, agrees), "{role:?}");
        }
    }

    #[test]
    fn later_versions_contain_this_one_and_nonsense_is_no_offer() {
        let params = params(ConnectionRole::InterRouter);
        assert!(is_agreed(&params, &told(Value::Uint(7))));
        assert!(!is_agreed(&params, &Map::new()));
        for bad in [Value::Null, Value::Uint(0), Value::Int(-1), Value::Bool(true), Value::String("1".into())] {
            assert!(!is_agreed(&params, &told(bad)));
        }
    }

    #[test]
    fn a_grant_makes_room_up_to_the_widest() {
        assert_eq!(limits(0).high, UNBOUNDED_STREAM.high);
        assert_eq!(limits(16).high, UNBOUNDED_STREAM.high + 16 * UNIT);
        assert_eq!(limits(u32::MAX).high, UNBOUNDED_STREAM.high + 64 * 1024 * 1024);
    }
}
