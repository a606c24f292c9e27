//! Which router the other end of a flow is at.

use crate::annotations::Annotations;
use crate::core::connection::PeerKind;

/// Where the other end of a flow is, as far as the routers on the way tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// At this router.
    Here,
    /// At the router with that id; of what an edge router has sent, at the interior router that it came through.
    Router(Box<str>),
    /// An edge router at the other end of the connection has not told where it has it from.
    Unknown,
}

/// Octets of a router id; a longer one is none.
const ID_MAX: usize = 255;

/// What routers put before their ids in traces.
const AREA: &str = "0/";

/// How addresses at edge routers begin.
const EDGE: &str = "_edge/";

// === impl Origin ===

impl Origin {
    /// Of a stream that came with these annotations, from a peer of that kind.
    #[must_use]
    pub fn of(annotations: &Annotations, from: Option<PeerKind>) -> Self {
        let first = annotations.trace.iter().next();
        let Some(first) = first.or(annotations.ingress.as_deref()) else {
            return if from.is_some_and(PeerKind::is_of_service) { Self::Here } else { Self::Unknown };
        };
        let id = std::str::from_utf8(first).ok().map(|node| node.strip_prefix(AREA).unwrap_or(node));
        id.map_or(Self::Unknown, Self::named)
    }

    /// Of a request that is answered at that address, which names an edge router where the routers on the way tell
    /// nothing.
    #[must_use]
    pub fn of_request(annotations: &Annotations, from: Option<PeerKind>, reply_to: &str) -> Self {
        match Self::of(annotations, from) {
            Self::Unknown => edge_router(reply_to).map_or(Self::Unknown, Self::named),
            known => known,
        }
    }

    fn named(id: &str) -> Self {
        if id.is_empty() || id.len() > ID_MAX { Self::Unknown } else { Self::Router(id.into()) }
    }
}

/// The edge router that an address is at, if it is at one.
fn edge_router(address: &str) -> Option<&str> {
    let path = address.strip_prefix("amqp:").unwrap_or(address).trim_start_matches('/');
    path.strip_prefix(EDGE)?.split_once('/').map(|(router, _)| router)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};

    /// As the router with that id sends them on.
    fn passed(router: &str) -> Annotations {
        let mut section = BytesMut::new();
        Annotations::default().encode(Some(format!("0/{router}").as_bytes()), &mut section);
        // Behind the descriptor: a constructor, and the code of an unsigned long.
        Annotations::parse(&section.freeze().slice(10..)).expect("encoded")
    }

    #[test]
    fn the_first_router_of_the_trace_is_where_it_came_from() {
        let of = |annotations: &Annotations| Origin::of(annotations, Some(PeerKind::Amqp));
        assert_eq!(of(&passed("RA")), Origin::Router("RA".into()));
        assert_eq!(of(&passed(&"x".repeat(ID_MAX))), Origin::Router("x".repeat(ID_MAX).into()));
        assert_eq!(of(&passed(&"x".repeat(ID_MAX + 1))), Origin::Unknown);
        assert_eq!(of(&passed("")), Origin::Unknown);
    }

    #[test]
    fn without_a_trace_it_is_here_or_nobody_knows() {
        let none = Annotations::default();
        assert_eq!(Origin::of(&none, Some(PeerKind::TcpFlow)), Origin::Here);
        assert_eq!(Origin::of(&none, Some(PeerKind::Amqp)), Origin::Unknown);
        for (reply_to, expected) in [
            ("amqp:/_edge/EA/temp.x", Origin::Router("EA".into())),
            ("_edge/EA/temp.x", Origin::Router("EA".into())),
            ("amqp:/_edge//temp.x", Origin::Unknown),
            ("amqp:/_topo/0/RA/temp.x", Origin::Unknown),
            ("_edge/EA", Origin::Unknown),
        ] {
            assert_eq!(Origin::of_request(&none, Some(PeerKind::Amqp), reply_to), expected, "{reply_to}");
            assert_eq!(Origin::of_request(&none, Some(PeerKind::TcpFlow), reply_to), Origin::Here);
            assert_eq!(Origin::of_request(&passed("RA"), None, reply_to), Origin::Router("RA".into()));
        }
        let damaged = Annotations { ingress: Some(Bytes::from_static(b"0/\xff")), ..none };
        assert_eq!(Origin::of(&damaged, Some(PeerKind::Amqp)), Origin::Unknown);
    }
}
