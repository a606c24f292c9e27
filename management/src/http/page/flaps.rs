//! Connections that come and go.

use super::report::Connection;
use amqp_core::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A connection that came back so often within [`RECENT`] flaps.
const OFTEN: usize = 3;

/// What is recent.
pub(super) const RECENT: Duration = Duration::from_secs(300);

/// Peers that are remembered.
const MAX_PEERS: usize = 2000;

/// Returns of a peer that are remembered.
const MAX_RETURNS: usize = 100;

/// Whose connection it is: a router, the peer, and whether the router made it.
type Peer = (String, String, bool);

/// What peers of routers have done.
#[derive(Debug, Default)]
pub(super) struct Flaps(BTreeMap<Peer, Past>);

#[derive(Debug)]
struct Past {
    /// Its connections when it was looked last.
    open: BTreeSet<u64>,
    /// Connections that have ended, and none has come in their place yet.
    ended: usize,
    /// When a connection was there in the place of one that had ended.
    returns: VecDeque<Instant>,
    seen: Instant,
}

/// A peer whose connection flaps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flap<'a> {
    pub(super) router: &'a str,
    pub(super) peer: &'a str,
    pub(super) is_out: bool,
    pub(super) times: usize,
}

// === impl Flaps ===

impl Flaps {
    /// A router has told of its connections.
    pub(super) fn note(&mut self, router: &str, connections: &[Connection], now: Instant) {
        let mut open: BTreeMap<Peer, BTreeSet<u64>> = BTreeMap::new();
        for connection in connections {
            // A connector goes to one place, whoever answers there.
            let peer = match (connection.is_out, connection.container.as_str()) {
                (true, _) | (_, "") => &connection.host,
                (false, container) => container,
            };
            let peer = (router.to_owned(), peer.to_owned(), connection.is_out);
            open.entry(peer).or_default().insert(connection.number);
        }
        for (peer, past) in &mut self.0 {
            if peer.0 == router {
                past.note(open.remove(peer).unwrap_or_default(), now);
            }
        }
        let room = MAX_PEERS.saturating_sub(self.0.len());
        self.0.extend(open.into_iter().take(room).map(|(peer, open)| (peer, Past::new(open, now))));
        self.0.retain(|_, past| now.since(past.seen) < RECENT);
    }

    /// Those that flap.
    pub(super) fn all(&self, now: Instant) -> impl Iterator<Item = Flap<'_>> {
        self.0.iter().filter_map(move |((router, peer, is_out), past)| {
            let times = past.returns.iter().filter(|at| now.since(**at) < RECENT).count();
            (times >= OFTEN).then_some(Flap { router, peer, is_out: *is_out, times })
        })
    }
}

// === impl Past ===

impl Past {
    fn new(open: BTreeSet<u64>, now: Instant) -> Self {
        Self { open, ended: 0, returns: VecDeque::new(), seen: now }
    }

    fn note(&mut self, open: BTreeSet<u64>, now: Instant) {
        if !open.is_empty() {
            self.seen = now;
        }
        self.ended = (self.ended + self.open.difference(&open).count()).min(MAX_RETURNS);
        let back = open.difference(&self.open).count().min(self.ended);
        self.ended -= back;
        self.returns.extend(std::iter::repeat_n(now, back));
        let excess = self.returns.len().saturating_sub(MAX_RETURNS);
        self.returns.drain(..excess);
        self.open = open;
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Role;
    use super::*;

    fn connection(number: u64, container: &str, is_out: bool) -> Connection {
        Connection {
            number,
            role: Role::Other,
            is_out,
            container: container.to_owned(),
            host: "h:1".to_owned(),
            is_encrypted: None,
            is_active: true,
        }
    }

    fn second(second: u64) -> Instant {
        Instant::from_micros(second * 1_000_000)
    }

    /// What is told of `a` after these numbers of its connection, two seconds apart.
    fn told(numbers: &[&[u64]]) -> Option<usize> {
        let mut flaps = Flaps::default();
        let mut now = second(0);
        for open in numbers {
            now = now + Duration::from_secs(2);
            let open: Vec<_> = open.iter().map(|&number| connection(number, "a", false)).collect();
            flaps.note("r", &open, now);
        }
        flaps.all(now).next().map(|flap| flap.times)
    }

    #[test]
    fn what_comes_back_often_flaps() {
        assert_eq!(told(&[&[1], &[2], &[3], &[4]]), Some(3));
        assert_eq!(told(&[&[1], &[], &[2], &[], &[3], &[], &[], &[4]]), Some(3));
        assert_eq!(told(&[&[1, 2, 3], &[4, 5, 6]]), Some(3), "each counts");
        assert_eq!(told(&[&[1], &[2], &[3]]), None);
    }

    #[test]
    fn what_comes_and_what_goes_does_not() {
        assert_eq!(told(&[&[1], &[1, 2], &[1, 2, 3], &[1, 2, 3, 4], &[1, 2, 3, 4, 5]]), None, "more and more");
        assert_eq!(told(&[&[1, 2, 3, 4], &[1, 2, 3], &[1, 2], &[1], &[]]), None, "fewer and fewer");
        assert_eq!(told(&[&[], &[1], &[1], &[1], &[1]]), None);
    }

    #[test]
    fn it_is_forgotten() {
        let mut flaps = Flaps::default();
        for number in 0..4 {
            flaps.note("r", &[connection(number, "a", false)], second(number));
        }
        let flap = Flap { router: "r", peer: "a", is_out: false, times: 3 };
        assert_eq!(flaps.all(second(4)).collect::<Vec<_>>(), [flap]);
        assert_eq!(flaps.all(second(302)).count(), 0);
        flaps.note("r", &[], second(303));
        assert_eq!(flaps.0.len(), 0);
    }

    #[test]
    fn a_connector_is_known_by_where_it_goes() {
        let mut flaps = Flaps::default();
        for number in 0..4 {
            flaps.note("r", &[connection(number, &format!("other{number}"), true)], second(number));
            flaps.note("q", &[connection(7, "a", true)], second(number));
        }
        let flap = Flap { router: "r", peer: "h:1", is_out: true, times: 3 };
        assert_eq!(flaps.all(second(4)).collect::<Vec<_>>(), [flap]);
    }

    #[test]
    fn peers_that_never_come_again_have_a_bound() {
        let mut flaps = Flaps::default();
        let many: Vec<_> = (0..3000).map(|number| connection(number, &format!("c{number}"), false)).collect();
        flaps.note("r", &many, second(0));
        assert_eq!(flaps.0.len(), MAX_PEERS);
    }
}
