//! What is known of the other routers (spec `inter-router-protocol.md` 6.6).

use super::{MeshOutput, path::Peers};
use crate::index::{NeighbourIndex, NodeIndex, NodeSet};
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::Instant;
use std::collections::HashMap;
use std::time::Duration;

/// Copies of an advertisement may arrive behind newer ones, but not for this long.
const OVERTAKEN: Duration = Duration::from_secs(5);

/// Requests for the addresses of a router that are sent ahead of others' within [`AHEAD`]. More than one, as the first
/// ones may be lost where routers on the way do not know it yet.
const MAX_AHEAD: u8 = 2;
const AHEAD: Duration = Duration::from_millis(100);

/// A remote router.
#[derive(Debug)]
pub struct MeshNode {
    index: NodeIndex,
    id: String,
    pub(super) version: i64,
    pub(super) instance: Option<i64>,
    /// Its control connection. Set exactly as long as it is in our own peers.
    pub(super) link: Option<NeighbourIndex>,
    /// Last HELLO over `link`.
    pub(super) link_heard: Instant,
    /// Last HELLO over any connection that named us.
    pub(super) refreshed: Instant,
    pub(super) peers: Peers,
    pub(super) ls_seq: i64,
    /// Something that was told in its name came by other ways than its own link, and was not taken.
    pub(super) missed: bool,
    /// When it last told of itself by its own link, beside HELLO.
    pub(super) spoke: Option<Instant>,
    /// Since when what it was asked for has come by other ways only, and was not taken.
    pub(super) unanswered: Option<Instant>,
    /// The link state that was taken over names routers that found no place here.
    pub(super) truncated: bool,
    /// Since when advertisements are older than what is stored.
    pub(super) suspect: Option<Instant>,
    /// Last RA, or LSU that brought something new.
    pub(super) last_seen: Instant,
    pub(super) next_hop: Option<NodeIndex>,
    pub(super) cost: u32,
    pub(super) valid_origins: NodeSet,
    pub(super) need_lsr: bool,
    pub(super) lsr_sent: Option<Instant>,
    pub(super) lsr_retry: Retry,
    pub(super) need_mar: bool,
    pub(super) mar_retry: Retry,
    /// Requests for its addresses that were sent ahead of others' in the present [`AHEAD`], and when that began.
    ahead: (u8, Instant),
    /// The latest sequence numbers of link state and mobile addresses that an RA told of this life.
    pub(super) advertised: (i64, i64),
    /// A sequence gap was answered with MAR and no MAU was accepted since.
    pub(super) mar_sent: bool,
    pub(super) mobile_seq: i64,
    /// Advertised address keys, with the edge mesh that all consumers are in.
    pub(super) addresses: HashMap<String, Option<String>>,
    /// What they take of the room for the addresses of all routers.
    pub(super) octets: usize,
    /// It advertises more than there was room for.
    pub(super) is_cut: bool,
    /// When it became a neighbour for the first time.
    pub(super) met: Option<Instant>,
    /// Since when computations find no way to it.
    pub(super) unreachable_since: Option<Instant>,
    /// Ticks without peers, link or mention; never reset.
    pub(super) empty: u8,
    /// The link states have a way to it and back.
    pub(super) mutual: bool,
    /// Whether messages make their way to it and back.
    pub(super) trip: RoundTrip,
    /// What the owner of the mesh was told last.
    told: Option<Route>,
    told_reachable: bool,
}

/// When to repeat a request that was not answered. Requests are lost while routers do not agree
/// on the ways; the next RA may be half a minute away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Retry {
    /// None when no request is out.
    due: Option<Instant>,
    /// The time that the last request was given.
    given: Duration,
}

/// A router on the way only forwards when it has computed its ways with the same link states as this one, which nobody
/// tells. But requests for addresses are forwarded by the rules for payload: whoever answers one is reached, and reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum RoundTrip {
    #[default]
    Untried,
    Asked,
    Answered,
}

/// The way to a router, as in [`MeshOutput::Route`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) next_hop: Option<NodeIndex>,
    link: Option<NeighbourIndex>,
    pub(super) cost: u32,
    pub(super) valid_origins: NodeSet,
}

/// Remote routers by index and by id.
#[derive(Debug, Default)]
pub(super) struct NodeTable {
    /// The first place is for index 1: index 0 is this router. Never longer than needed
    /// for the largest number of routers so far.
    slots: Vec<Option<Box<MeshNode>>>,
    by_id: HashMap<String, NodeIndex>,
}

// === impl MeshNode ===

impl MeshNode {
    /// Its index, not that of this router.
    #[must_use]
    pub const fn index(&self) -> NodeIndex {
        self.index
    }

    /// The router id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Version of its routing protocol; 0 when unknown.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Its boot time in seconds since the Unix epoch, when known.
    #[must_use]
    pub const fn instance(&self) -> Option<i64> {
        self.instance
    }

    /// The direct connection, if it is a neighbour.
    #[must_use]
    pub const fn link(&self) -> Option<NeighbourIndex> {
        self.link
    }

    /// The first router on the way to it; none when the way is the direct connection, or
    /// there is no way.
    #[must_use]
    pub const fn next_hop(&self) -> Option<NodeIndex> {
        self.next_hop
    }

    /// Path cost; 0 before a way was found.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// Valid origins, this router among them.
    #[must_use]
    pub const fn valid_origins(&self) -> &NodeSet {
        &self.valid_origins
    }

    /// Its neighbours, with the cost of the link to each.
    #[must_use]
    pub const fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Sequence numbers of its link state and of its mobile addresses.
    #[must_use]
    pub const fn sequences(&self) -> (i64, i64) {
        (self.ls_seq, self.mobile_seq)
    }

    /// Keys of the addresses that it advertises.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().map(String::as_str)
    }

    /// A neighbour, or reachable through others as far as was known last.
    pub(super) const fn has_way(&self) -> bool {
        self.link.is_some() || self.next_hop.is_some()
    }

    /// Forgets what it advertises. Returns whether addresses were known.
    pub(super) fn forget_addresses(&mut self) -> bool {
        self.mobile_seq = 0;
        self.mar_sent = false;
        self.trip = RoundTrip::Untried;
        let known = !self.addresses.is_empty();
        self.addresses = HashMap::new();
        (self.octets, self.is_cut) = (0, false);
        log!(LogModule::Router, Level::Debug, "Remote destinations flushed from router {}", self.id);
        known
    }

    /// It advertised new addresses. They are asked for at once, or soon if a request is out: there may be many such.
    pub(super) fn advertised_addresses(&mut self, now: Instant) {
        self.need_mar |= self.mar_retry.due().is_none();
        self.mar_retry.reset(now);
    }

    /// What it told of itself, with its boot time, if that is enough to pass on.
    pub(super) fn hearsay(&self) -> Option<(&Self, i64)> {
        self.instance.filter(|_| self.ls_seq > 0).map(|instance| (self, instance))
    }

    /// Whether an advertisement of these sequence numbers shows that what is known is of an earlier life of the router,
    /// although the boot time does not tell. A connection that had stalled delivers advertisements that were overtaken on
    /// other ways, with newer ones at their heels: so this only counts when it lasts.
    pub(super) fn is_outlived(&mut self, ls_seq: i64, mobile_seq: i64, now: Instant) -> bool {
        let (newest_ls, newest_mobile) = self.advertised;
        if ls_seq >= self.ls_seq.max(newest_ls) && mobile_seq >= self.mobile_seq.max(newest_mobile) {
            self.suspect = None;
            return false;
        }
        let since = *self.suspect.get_or_insert(now);
        self.instance.is_none() || now.since(since) > OVERTAKEN
    }

    /// Notes whether the link states have a way to it and back. Whoever was cut off must answer again.
    pub(super) fn set_mutual(&mut self, mutual: bool) {
        if self.mutual && !mutual {
            self.trip = RoundTrip::Untried;
        }
        self.mutual = mutual;
    }

    /// A flow to it could be carried both ways, as far as that can be known.
    pub(super) fn is_reachable(&self) -> bool {
        self.mutual && self.trip == RoundTrip::Answered
    }

    /// It has addresses of use, and only its answer is missing.
    pub(super) fn owes_answer(&self) -> bool {
        self.mutual && self.trip != RoundTrip::Answered && !self.addresses.is_empty()
    }

    /// It is to be asked now whether messages make their way.
    pub(super) fn is_to_be_tried(&self) -> bool {
        self.owes_answer() && (self.trip == RoundTrip::Untried || self.mar_retry.due().is_none())
    }

    /// Its link state is known, but no RA of its present life was here: perhaps it has addresses.
    fn is_unheard(&self) -> bool {
        self.ls_seq > 0 && self.advertised == (0, 0)
    }

    /// Whether its addresses are to be asked for now because of what is not known, or not answered for long enough.
    pub(super) fn takes_due_request(&mut self, now: Instant) -> bool {
        let repeats = self.mar_retry.take_due(now) || self.mar_retry.due().is_none();
        self.is_to_be_tried() || repeats && (self.lacks_advertised() || self.is_unheard())
    }

    /// When to ask it for something again, if there is a way to it and something to ask for.
    pub(super) fn next_request(&self) -> Option<Instant> {
        self.lsr_retry.due().into_iter().chain(self.mar_retry.due()).min().filter(|_| self.has_way())
    }

    /// The sequence number to ask for its addresses with. Requests that tell the latest one are not answered.
    pub(super) fn have_seq(&self) -> i64 {
        let wants_latest = self.is_cut || !self.lacks_addresses() && self.trip != RoundTrip::Answered;
        if wants_latest { self.mobile_seq - 1 } else { self.mobile_seq }
    }

    /// A request for its addresses is sent.
    pub(super) fn asks_for_addresses(&mut self, now: Instant) {
        if self.mar_retry.due().is_some_and(|due| due > now) {
            // Ahead of others', which come by in their own time: it says nothing of how often to ask.
            self.trip = self.trip.max(RoundTrip::Asked);
        } else if self.trip == RoundTrip::Answered {
            self.mar_retry.sent(now);
        } else {
            self.trip = RoundTrip::Asked;
            self.mar_retry.sent_urgently(now);
        }
    }

    /// Whether a request for its addresses is to be sent ahead of one that passes; if so it is counted. A request ahead
    /// passes through the next router, which does the same: without a bound they double with each router on the way.
    pub(super) fn takes_request_ahead(&mut self, now: Instant) -> bool {
        if now.since(self.ahead.1) >= AHEAD {
            self.ahead = (0, now);
        }
        let takes = self.has_way() && self.lacks_addresses() && self.ahead.0 < MAX_AHEAD;
        self.ahead.0 += u8::from(takes);
        takes
    }

    /// What this one knows of its addresses is known to be old, or is nothing.
    pub(super) fn lacks_addresses(&self) -> bool {
        self.mobile_seq == 0 || self.lacks_advertised()
    }

    /// What is known of it is older than what it advertised, or nothing is.
    pub(super) fn is_behind(&self) -> bool {
        self.ls_seq < self.advertised.0.max(1) || self.lacks_advertised()
    }

    /// What this one knows of its addresses is older than what it advertised.
    const fn lacks_advertised(&self) -> bool {
        self.mobile_seq < self.advertised.1
    }

    /// Whether it is reachable as output, if that is not what was told last.
    pub(super) fn take_reachable_change(&mut self) -> Option<MeshOutput> {
        let (index, reachable) = (self.index, self.is_reachable());
        let changed = std::mem::replace(&mut self.told_reachable, reachable) != reachable;
        changed.then_some(MeshOutput::Reachable { node: index, reachable })
    }

    /// Index, former and new route, if the route is not what was told last.
    pub(super) fn take_route_change(&mut self) -> Option<(NodeIndex, Option<Route>, Route)> {
        let Self { index, next_hop, link, cost, ref valid_origins, .. } = *self;
        let route = Route { next_hop, link, cost, valid_origins: valid_origins.clone() };
        if self.told.as_ref() == Some(&route) {
            return None;
        }
        Some((index, self.told.replace(route.clone()), route))
    }

    /// What the owner of the mesh was told is true.
    fn is_published(&self) -> bool {
        let told = self.told.as_ref().is_some_and(|told| {
            (told.next_hop, told.link, told.cost) == (self.next_hop, self.link, self.cost)
                && told.valid_origins == self.valid_origins
        });
        told && self.told_reachable == self.is_reachable()
    }
}

// === impl Route ===

impl Route {
    pub(super) fn output(self, index: NodeIndex) -> MeshOutput {
        let Self { next_hop, link, cost, valid_origins } = self;
        MeshOutput::Route { node: index, next_hop, link, cost, valid_origins }
    }
}

// === impl Retry ===

impl Retry {
    /// The first request is given this time; each further one twice as much.
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(32);

    /// Between requests of which a way waits that is only known to work once they are answered.
    const FIRST_URGENT: Duration = Duration::from_millis(50);
    const LONGEST_URGENT: Duration = Duration::from_secs(4);

    /// A request was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.repeat(now, Self::FIRST, Self::LONGEST);
    }

    /// A request was sent that somebody waits for.
    pub(super) fn sent_urgently(&mut self, now: Instant) {
        self.repeat(now, Self::FIRST_URGENT, Self::LONGEST_URGENT);
    }

    fn repeat(&mut self, now: Instant, first: Duration, longest: Duration) {
        self.given = self.given.saturating_mul(2).clamp(first, longest);
        self.due = Some(now + self.given);
    }

    /// The request was answered, or chances for an answer are better than before.
    pub(super) fn reset(&mut self, now: Instant) {
        self.given = Duration::ZERO;
        self.due = self.due.map(|due| due.min(now + Self::FIRST));
    }

    /// When the request that is out was out for long enough.
    pub(super) const fn due(self) -> Option<Instant> {
        self.due
    }

    /// Whether a request was out for long enough. If so, there is none out any more.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
        }
        is_due
    }
}

// === impl NodeTable ===

impl NodeTable {
    pub(super) fn index_of(&self, id: &str) -> Option<NodeIndex> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, index: NodeIndex) -> Option<&MeshNode> {
        self.slots.get(index.get().checked_sub(1)?)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: NodeIndex) -> Option<&mut MeshNode> {
        self.slots.get_mut(index.get().checked_sub(1)?)?.as_deref_mut()
    }

    pub(super) fn by_id_mut(&mut self, id: &str) -> Option<&mut MeshNode> {
        self.get_mut(self.index_of(id)?)
    }

    /// Nodes in the order of their indices.
    pub(super) fn iter(&self) -> impl Iterator<Item = &MeshNode> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut MeshNode> {
        self.slots.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// Adds an unknown router under the lowest free index; `None` when the table is full.
    pub(super) fn insert(&mut self, id: &str, instance: Option<i64>, version: i64) -> Option<NodeIndex> {
        let place = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let index = NodeIndex::new(place + 1)?;
        if place == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[place] = Some(Box::new(MeshNode {
            index,
            id: id.to_owned(),
            version,
            instance,
            link: None,
            link_heard: Instant::default(),
            refreshed: Instant::default(),
            peers: Peers::new(),
            ls_seq: 0,
            missed: false,
            spoke: None,
            unanswered: None,
            truncated: false,
            suspect: None,
            last_seen: Instant::default(),
            next_hop: None,
            cost: 0,
            valid_origins: NodeSet::EMPTY,
            need_lsr: true,
            lsr_sent: None,
            lsr_retry: Retry::default(),
            need_mar: false,
            mar_retry: Retry::default(),
            ahead: (0, Instant::default()),
            advertised: (0, 0),
            mar_sent: false,
            mobile_seq: 0,
            addresses: HashMap::new(),
            octets: 0,
            is_cut: false,
            met: None,
            unreachable_since: None,
            empty: 0,
            mutual: false,
            trip: RoundTrip::Untried,
            told: Some(Route { next_hop: None, link: None, cost: 0, valid_origins: NodeSet::EMPTY }),
            told_reachable: false,
        }));
        self.by_id.insert(id.to_owned(), index);
        Some(index)
    }

    /// Takes a router out. The index may be given to another one soon, so no route may still name it.
    pub(super) fn remove(&mut self, index: NodeIndex) -> Option<Box<MeshNode>> {
        let node = self.slots.get_mut(index.get().checked_sub(1)?)?.take()?;
        self.by_id.remove(&node.id);
        for other in self.iter_mut() {
            other.valid_origins.remove(index);
            if other.next_hop == Some(index) {
                other.next_hop = None;
            }
        }
        Some(node)
    }

    pub(super) fn check_invariants(&self) {
        debug_assert_eq!(self.by_id.len(), self.iter().count());
        for node in self.iter() {
            debug_assert_eq!(self.index_of(&node.id), Some(node.index));
            debug_assert!(node.next_hop.is_none_or(|hop| self.get(hop).is_some()), "{node:?}");
            debug_assert!(!node.peers.contains_key(&node.id), "{node:?}");
            debug_assert!(node.mobile_seq > 0 || node.addresses.is_empty(), "{node:?}");
            debug_assert!(node.is_published(), "{node:?}");
        }
    }
}
