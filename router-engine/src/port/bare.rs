//! What the opens of two routers agree upon, so that an end of a TCP flow that TLS did not vouch for stays one.
//!
//! ```text
//!  open: qd.bare-ends=1 -->    <-- qd.bare-ends=1       agreed
//!
//!  transfer ... more=true
//!  transfer more=false, state=received(ffffffff, ffffffffffffffff)   finished bare
//!  transfer more=false                                               finished in order
//! ```
//!
//! A router that has not agreed is sent an ordinary end. The mark is taken off every transfer that comes in, and heeded
//! where it was agreed upon, on the last frame of a stream: otherwise it says nothing, and does not travel. The property is
//! of this router's making; others do not offer it.

use super::AmqpPort;
use super::link::Head;
use super::params::PortParams;
use crate::annotations::flags;
use crate::stream::{Finish, Payload};
use amqp_core::engine::{Incoming, LinkKey};
use amqp_core::performative::DeliveryState;
use amqp_core::value::{Map, Value};

/// The version of what is agreed upon, uint.
const PROPERTY: &str = "qd.bare-ends";

/// The only one so far.
const VERSION: u32 = 1;

/// On the last frame of a stream that was finished bare. It is no outcome, and nothing that a sender has received.
const MARK: DeliveryState = DeliveryState::Received { section_number: u32::MAX, section_offset: u64::MAX };

/// Whether it is offered on a connection. Networks tell each other too: it claims less than an ordinary end.
const fn offers(params: &PortParams) -> bool {
    params.bare_ends && params.conn.role.is_router()
}

/// The property of an open with an offer.
pub(super) fn property(params: &PortParams) -> Option<(&'static str, Value)> {
    offers(params).then_some((PROPERTY, Value::Uint(VERSION)))
}

/// Whether both ends know of the mark.
pub(super) fn is_agreed(params: &PortParams, peer: &Map) -> bool {
    let version = || peer.get(PROPERTY).and_then(Value::as_u64);
    offers(params) && version().is_some_and(|version| version >= u64::from(VERSION))
}

// === impl AmqpPort ===

impl AmqpPort {
    /// Takes the mark off a frame. What it says of the end of the delivery.
    pub(super) fn take_finish(&self, frame: &mut Incoming) -> Finish {
        let marked = frame.state.take_if(|state| *state == MARK).is_some();
        let heeded = marked && self.bare_ends && !frame.more && !frame.aborted;
        if heeded { Finish::Bare } else { Finish::Orderly }
    }

    /// Has the last frame of the delivery in progress tell how it was finished, if the peer knows of that.
    pub(super) fn mark_finish(&mut self, link: LinkKey, finish: Finish) {
        if finish == Finish::Bare && self.bare_ends {
            self.engine.set_last_state(link, MARK);
        }
    }
}

// === impl Head ===

impl Head {
    /// A complete message that was finished so: one that is no stream is whole in any case.
    pub(super) fn finished(&self, payload: Payload, finish: Finish) -> Payload {
        let bare = finish == Finish::Bare && self.annotations.flags & flags::STREAMING != 0;
        if bare { Payload::Stream(payload.into_stream_finished(finish)) } else { payload }
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
    fn only_routers_agree() {
        use ConnectionRole::{Edge, InterEdge, InterNetwork, InterRouter, InterRouterData, Normal, RouteContainer};
        for (role, agrees) in [
            (InterRouter, true),
            (InterRouterData, true),
            (Edge, true),
            (InterEdge, true),
            (InterNetwork, true),
            (Normal, false),
            (RouteContainer, false),
        ] {
            let params = params(role);
            let theirs = told(Value::Uint(1));
            assert_eq!((property(&params).is_some(), is_agreed(&params, &theirs)), (agrees, agrees), "{role:?}");
            assert!(!is_agreed(&PortParams { bare_ends: false, ..params }, &theirs));
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
}
