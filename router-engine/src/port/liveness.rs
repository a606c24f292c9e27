//! What the opens of two routers agree upon, to notice within few intervals that the other one is dead.
//!
//! ```text
//!  open: qd.liveness-interval=100, qd.liveness-multiplier=3  -->
//!                                                           <--  open: 300, 3
//!        both send something every 300 ms, and give up a peer after 900 ms of silence
//! ```
//!
//! Both properties are of this router's making; others do not offer them, and so nothing is agreed.

use super::params::PortParams;
use amqp_core::engine::Liveness;
use amqp_core::value::{Map, Value};
use std::time::Duration;

/// Milliseconds between two signs of life at most, uint.
const INTERVAL: &str = "qd.liveness-interval";

/// Intervals of silence after which a peer counts as dead, uint.
const MULTIPLIER: &str = "qd.liveness-multiplier";

/// What is offered on a connection, if anything is.
pub(super) fn offer(params: &PortParams) -> Option<Liveness> {
    params.liveness.filter(|_| params.conn.role.is_within_network())
}

/// The properties of an open with an offer.
pub(super) fn properties(offer: Liveness) -> [(&'static str, Value); 2] {
    let millis = u32::try_from(offer.interval.as_millis()).unwrap_or(u32::MAX);
    [(INTERVAL, Value::Uint(millis)), (MULTIPLIER, Value::Uint(offer.multiplier))]
}

/// What follows from our offer and the properties of the peer's open.
pub(super) fn agreed(params: &PortParams, peer: &Map) -> Option<Liveness> {
    offer(params).zip(offered(peer)).map(|(ours, theirs)| ours.agreed(theirs))
}

/// What a peer offers: two positive numbers, or nothing.
fn offered(peer: &Map) -> Option<Liveness> {
    let number = |key| u32::try_from(peer.get(key)?.as_u64()?).ok().filter(|&number| number > 0);
    let interval = Duration::from_millis(number(INTERVAL)?.into());
    Some(Liveness { interval, multiplier: number(MULTIPLIER)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::connection::{ConnParams, ConnectionRole};

    fn liveness(millis: u64, multiplier: u32) -> Liveness {
        Liveness { interval: Duration::from_millis(millis), multiplier }
    }

    fn offering(role: ConnectionRole, offer: Option<Liveness>) -> PortParams {
        PortParams { liveness: offer, ..PortParams::new(ConnParams::amqp(role)) }
    }

    fn told(interval: impl Into<Value>, multiplier: impl Into<Value>) -> Map {
        Map::new().with(Value::symbol(INTERVAL), interval.into()).with(Value::symbol(MULTIPLIER), multiplier.into())
    }

    #[test]
    fn the_more_patient_offer_holds() {
        let ours = offering(ConnectionRole::InterRouter, Some(liveness(100, 5)));
        for (interval, multiplier, expected) in
            [(100, 5, (100, 5)), (300, 3, (300, 5)), (20, 9, (100, 9)), (1, 1, (100, 5))]
        {
            let peer = told(Value::Uint(interval), Value::Uint(multiplier));
            assert_eq!(agreed(&ours, &peer), Some(liveness(expected.0, expected.1)), "{peer}");
        }
        let theirs = properties(liveness(70_000, 4)).into_iter();
        let theirs = theirs.fold(Map::new(), |map, (key, value)| map.with(Value::symbol(key), value));
        assert_eq!(agreed(&ours, &theirs), Some(liveness(70_000, 5)));
    }

    #[test]
    fn it_takes_two() {
        let peer = told(Value::Uint(100), Value::Uint(3));
        assert_eq!(agreed(&offering(ConnectionRole::InterRouter, None), &peer), None);
        assert_eq!(agreed(&offering(ConnectionRole::InterRouter, Some(liveness(100, 3))), &Map::new()), None);
    }

    #[test]
    fn only_routers_of_the_network_are_watched() {
        use ConnectionRole::{Edge, InterEdge, InterNetwork, InterRouter, InterRouterData, Normal, RouteContainer};
        let peer = told(Value::Uint(100), Value::Uint(3));
        for (role, watched) in [
            (InterRouter, true),
            (InterRouterData, true),
            (Edge, true),
            (InterEdge, true),
            (InterNetwork, false),
            (Normal, false),
            (RouteContainer, false),
        ] {
            let params = offering(role, Some(liveness(100, 3)));
            assert_eq!((offer(&params).is_some(), agreed(&params, &peer).is_some()), (watched, watched), "{role:?}");
        }
    }

    #[test]
    fn what_is_no_positive_number_is_no_offer() {
        let good = || Value::Uint(3);
        let all = [
            Value::Null,
            Value::Uint(0),
            Value::Int(-100),
            Value::Long(i64::MIN),
            Value::Ulong(1 << 32),
            Value::Ulong(u64::MAX),
            Value::Bool(true),
            Value::Double(100.0),
            Value::String("100".into()),
            Value::symbol("100"),
            Value::List(vec![good()]),
        ];
        for bad in all {
            for peer in [told(bad.clone(), good()), told(good(), bad.clone())] {
                assert_eq!(offered(&peer), None, "{peer}");
            }
        }
        assert_eq!(offered(&Map::new().with(Value::symbol(INTERVAL), good())), None, "one of two");
        let largest = told(Value::Ulong(u32::MAX.into()), Value::Long(u32::MAX.into()));
        assert_eq!(offered(&largest), Some(liveness(u32::MAX.into(), u32::MAX)));
    }
}
