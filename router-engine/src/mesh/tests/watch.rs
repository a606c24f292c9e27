//! What must never be for long: routers whose next hops lead in a circle, and next hops over links that are lost.
//!
//! A loop is a circle of next hops to one destination. It comes from routers that have computed their ways with a change, and
//! others that have not, so it must end when the news has crossed it:
//!
//! ```text
//!   longest time of a loop  =  sum of the delays of its links  +  pause of the throttle at its routers  +  grace
//! ```
//!
//! where the pause is the longest that any of its routers must let pass between two computations at that time (see
//! [`Throttle`](crate::mesh::throttle::Throttle)), and the grace is what the test allows for: nothing among routers of this
//! implementation. Other routers or links make another loop.
//!
//! A next hop over a link that is lost must end with the next computation of its router, and over a link that is silent after
//! the time in which that is noticed. The routers of which the next hops changed are looked at, for the destinations of which
//! they changed, each time that any did.

use super::net::{Net, Router};
use amqp_core::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Until a silent link is noticed: the age at which a HELLO is too old, the tick that looks, and its lateness.
pub(super) const DETECTION: Duration = Duration::from_millis(3_000 + 1_000 + 50);

#[derive(Default)]
pub(super) struct Watch {
    /// By router and destination.
    ways: Vec<Vec<Way>>,
    loops: Vec<Loop>,
    /// By router and destination: since when the way is over a link that is lost, and how long that may last.
    holes: BTreeMap<(usize, usize), (Instant, Duration)>,
    /// Allowed beyond what news need to cross a loop: for messages that are lost, or that wait for a tick.
    pub(super) grace: Duration,
    pub(super) seen: Seen,
    pub(super) faults: Vec<String>,
}

/// What was there, as far as it is over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) loops: u64,
    pub(super) longest_loop: Duration,
    pub(super) longest_hole: Duration,
}

/// Where a router sends what is for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Way {
    #[default]
    None,
    Over(usize),
    /// Its next hop is no neighbour any more.
    Lost,
}

struct Loop {
    destination: usize,
    routers: Vec<usize>,
    since: Instant,
    allowed: Duration,
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(n: usize) -> Self {
        Self { ways: vec![vec![Way::None; n]; n], ..Self::default() }
    }
}

// === impl Net ===

impl Net {
    /// Looks at the ways of a router that may have changed, or whose links have.
    pub(super) fn review(&mut self, r: usize) {
        for to in (0..self.routers.len()).filter(|to| *to != r) {
            let way = self.routers[r].way(to);
            if std::mem::replace(&mut self.watch.ways[r][to], way) != way {
                self.end_loops(r, to);
                self.look_for_loop(r, to);
            }
            self.look_for_hole(r, to, way);
        }
    }

    /// That nothing is left of loops and lost ways, and that nothing lasted for too long.
    pub(super) fn assert_nothing_lasted(&self, what: &str) {
        let Watch { loops, holes, faults, .. } = &self.watch;
        let left = loops.iter().map(|l| format!("loop for r{:02}: {:?} since {:?}", l.destination, l.routers, l.since));
        let holes = holes.iter().map(|((r, to), since)| format!("r{r:02} to r{to:02} is lost since {since:?}"));
        let faults: Vec<String> = faults.iter().cloned().chain(left).chain(holes).collect();
        assert!(faults.is_empty(), "{what}, at {:?}:\n{}", self.now, faults.join("\n"));
    }

    fn end_loops(&mut self, r: usize, to: usize) {
        let is_over = |l: &mut Loop| l.destination == to && l.routers.contains(&r);
        let over: Vec<Loop> = self.watch.loops.extract_if(.., is_over).collect();
        for over in over {
            let lasted = self.now.since(over.since);
            let allowed = over.allowed.max(self.allowed(&over.routers, to));
            let seen = &mut self.watch.seen;
            seen.loops += 1;
            seen.longest_loop = seen.longest_loop.max(lasted);
            if lasted > allowed {
                let text =
                    format!("{:?}: loop for r{to:02}: {:?} for {lasted:?} of {allowed:?}", self.now, over.routers);
                self.watch.faults.push(text);
            }
        }
    }

    /// A new loop goes through the router whose next hop is new.
    fn look_for_loop(&mut self, r: usize, to: usize) {
        let (mut routers, mut at) = (Vec::new(), r);
        while let Way::Over(link) = self.watch.ways[at][to] {
            routers.push(at);
            at = self.links[link].other(at);
            if at == r {
                let allowed = self.allowed(&routers, to);
                self.watch.loops.push(Loop { destination: to, routers, since: self.now, allowed });
                return;
            }
            if at == to || routers.contains(&at) {
                return;
            }
        }
    }

    /// How long a loop of these routers may last.
    fn allowed(&self, routers: &[usize], to: usize) -> Duration {
        let links = routers.iter().filter_map(|r| match self.watch.ways[*r][to] {
            Way::Over(link) => Some(self.links[link].longest()),
            Way::None | Way::Lost => None,
        });
        let pause = routers.iter().map(|r| self.routers[*r].mesh.pause()).max().unwrap_or_default();
        links.sum::<Duration>() + pause + self.watch.grace
    }

    fn look_for_hole(&mut self, r: usize, to: usize, way: Way) {
        let until_noticed = match way {
            Way::Over(link) if self.links[link].up && !self.links[link].mute => None,
            Way::Over(_) => Some(DETECTION),
            Way::Lost => Some(Duration::ZERO),
            Way::None => None,
        };
        let Some(until_noticed) = until_noticed else {
            let Some((since, allowed)) = self.watch.holes.remove(&(r, to)) else { return };
            let lasted = self.now.since(since);
            self.watch.seen.longest_hole = self.watch.seen.longest_hole.max(lasted);
            if lasted > allowed {
                let text = format!("{:?}: r{r:02} to r{to:02} was lost for {lasted:?} of {allowed:?}", self.now);
                self.watch.faults.push(text);
            }
            return;
        };
        let allowed = until_noticed + self.routers[r].mesh.pause();
        self.watch.holes.entry((r, to)).or_insert((self.now, allowed));
    }
}

// === impl Router ===

impl Router {
    fn way(&self, to: usize) -> Way {
        match self.known(to) {
            Some(node) => match self.link_towards(node) {
                Some(link) => Way::Over(link),
                None if node.next_hop.is_some() => Way::Lost,
                None => Way::None,
            },
            None => Way::None,
        }
    }
}
