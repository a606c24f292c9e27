//! What is known of the network, from what routers have told.

use super::flaps::{Flaps, RECENT};
use super::report::{Connection, EndKind, Identity, Node, Report, Role};
use super::schedule::Place;
use amqp_core::Instant;
use router_engine::core::Mode;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Routers that are asked and shown.
const MAX_ROUTERS: usize = 256;

/// How long a router is shown that nobody knows any more.
const GONE: Duration = Duration::from_secs(300);

/// The network.
#[derive(Debug)]
pub(super) struct Network {
    own: String,
    mode: Mode,
    routers: BTreeMap<String, Router>,
    /// Routers beyond those that are shown.
    beyond: usize,
    pub(super) flaps: Flaps,
}

/// What is known of a router.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) place: Place,
    pub(super) state: State,
    /// Since when the state is what it is.
    pub(super) since: Instant,
    /// What it has told last, however long ago; none of one that is gone.
    pub(super) report: Option<Report>,
    /// When it has told that.
    pub(super) told: Option<Instant>,
    pub(super) identity: Identity,
    pub(super) traffic: HashMap<EndKey, Traffic>,
    /// The routers that it is or was next to.
    neighbours: BTreeSet<String>,
}

/// Whether a router answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was not asked yet.
    Waiting,
    Up,
    /// It is known, and does not answer.
    Silent,
    /// It was known.
    Gone,
}

/// Which end of a service, of a router.
pub(super) type EndKey = (EndKind, String, String, String);

/// What passes an end of a service, and what was noticed of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Traffic {
    /// Octets per second, from and to the outside.
    pub(super) received: f64,
    pub(super) sent: f64,
    /// Connections that have ended since an octet came from the server.
    pub(super) barren: u64,
    /// When the last of these was noticed.
    pub(super) barren_at: Option<Instant>,
}

/// Two routers that are next to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// In the order of their names.
    pub(super) ends: [String; 2],
    pub(super) role: Role,
    pub(super) cost: Option<u64>,
    /// None where nobody tells.
    pub(super) connections: Option<usize>,
    pub(super) is_encrypted: Option<bool>,
    pub(super) is_active: bool,
    /// It is there now, as far as anybody knows.
    pub(super) is_up: bool,
}

// === impl Network ===

impl Network {
    pub(super) fn new(own: &str, mode: Mode, now: Instant) -> Self {
        let place = Place::Own { is_interior: mode == Mode::Interior };
        let routers = BTreeMap::from([(own.to_owned(), Router::new(place, now))]);
        Self { own: own.to_owned(), mode, routers, beyond: 0, flaps: Flaps::default() }
    }

    pub(super) fn own(&self) -> &str {
        &self.own
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// All routers, by their ids.
    pub(super) const fn routers(&self) -> &BTreeMap<String, Router> {
        &self.routers
    }

    /// Routers that are not shown, as there are too many.
    pub(super) const fn beyond(&self) -> usize {
        self.beyond
    }

    /// Those that are to be asked.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&str, Place)> {
        let asked = self.routers.iter().filter(|(_, router)| router.state != State::Gone);
        asked.map(|(id, router)| (id.as_str(), router.place))
    }

    /// A router has told of itself.
    pub(super) fn on_report(&mut self, id: &str, mut report: Report, now: Instant) {
        let Some(router) = self.routers.get_mut(id).filter(|router| router.state != State::Gone) else { return };
        if !report.missing.is_empty() {
            report.complete(router.report.clone().unwrap_or_default());
        }
        self.flaps.note(id, &report.connections, now);
        router.compare(&report, now);
        if let Some(identity) = report.identity.take() {
            router.identity = identity;
        }
        router.report = Some(report);
        router.told = Some(now);
        router.turn(State::Up, now);
        self.review(now);
    }

    /// A router has not answered.
    pub(super) fn on_silence(&mut self, id: &str, now: Instant) {
        let Some(router) = self.routers.get_mut(id).filter(|router| router.state != State::Gone) else { return };
        // What it carried is not known any more.
        router.traffic.clear();
        router.turn(State::Silent, now);
        self.review(now);
    }

    /// Looks anew at who is there.
    fn review(&mut self, now: Instant) {
        let (known, beyond) = self.known();
        self.beyond = beyond;
        for (id, router) in &mut self.routers {
            if !known.contains_key(id) && router.state != State::Gone {
                router.turn(State::Gone, now);
                (router.report, router.traffic) = (None, HashMap::new());
            }
        }
        for (id, place) in known {
            let router = self.routers.entry(id).or_insert_with(|| Router::new(place, now));
            if router.state == State::Gone || router.place != place {
                *router = Router { identity: std::mem::take(&mut router.identity), ..Router::new(place, now) };
            }
        }
        self.routers.retain(|_, router| router.state != State::Gone || now.since(router.since) < GONE);
        self.forget_some();
        for Link { ends: [one, other], .. } in self.links().into_iter().filter(|link| link.is_up) {
            for (id, neighbour) in [(&one, &other), (&other, &one)] {
                if let Some(router) = self.routers.get_mut(id) {
                    router.neighbours.insert(neighbour.clone());
                }
            }
        }
    }

    /// Those that are gone for longest make room.
    fn forget_some(&mut self) {
        while self.routers.len() > 2 * MAX_ROUTERS {
            let gone = self.routers.iter().filter(|(_, router)| router.state == State::Gone);
            let Some(id) = gone.min_by_key(|(_, router)| router.since).map(|(id, _)| id.clone()) else { break };
            self.routers.remove(&id);
        }
    }

    /// The routers that there are by what was told, and how many more.
    fn known(&self) -> (BTreeMap<String, Place>, usize) {
        let own = (self.own.clone(), Place::Own { is_interior: self.mode == Mode::Interior });
        let mut known = BTreeMap::from([own]);
        let mut beyond = BTreeSet::new();
        let mut add = |id: &str, place| {
            if known.contains_key(id) {
            } else if known.len() < MAX_ROUTERS {
                known.insert(id.to_owned(), place);
            } else if beyond.len() < MAX_ROUTERS * MAX_ROUTERS {
                beyond.insert(id.to_owned());
            }
        };
        let interior: BTreeSet<_> = self.table().iter().map(|node| node.id.as_str()).chain(self.uplinks()).collect();
        interior.iter().for_each(|id| add(id, Place::Interior));
        // Edge routers are known to those that they are connected to.
        for (id, router) in &self.routers {
            let is_interior = interior.contains(id.as_str()) || router.place == Place::Own { is_interior: true };
            for connection in router.connections() {
                let is_edge = match connection.role {
                    Role::Edge => is_interior && !connection.is_out,
                    Role::InterEdge => true,
                    Role::InterRouter | Role::Other => false,
                };
                if is_edge && !connection.container.is_empty() {
                    add(&connection.container, Place::Edge);
                }
            }
        }
        (known, beyond.len())
    }

    /// The interior routers that this one is an edge router of; the one that is in use comes first.
    fn uplinks(&self) -> impl Iterator<Item = &str> {
        let own = self.routers.get(&self.own).filter(|_| self.mode == Mode::Edge);
        let connections = own.into_iter().flat_map(Router::connections);
        let uplinks = connections.filter(|connection| connection.role == Role::Edge && connection.is_out);
        let mut uplinks: Vec<_> = uplinks.filter(|connection| !connection.container.is_empty()).collect();
        uplinks.sort_by_key(|connection| !connection.is_active);
        uplinks.into_iter().map(|connection| connection.container.as_str())
    }

    /// The table of routers that this router knows, or its interior router.
    pub(super) fn table(&self) -> &[Node] {
        let whose = if self.mode == Mode::Interior { Some(self.own.as_str()) } else { self.uplinks().next() };
        let report = whose.and_then(|id| self.routers.get(id)?.report.as_ref());
        report.map_or(&[], |report| &report.nodes)
    }

    /// Who is next to whom.
    pub(super) fn links(&self) -> Vec<Link> {
        let mut links = BTreeMap::new();
        for node in self.table() {
            for neighbour in node.neighbours.iter().filter(|neighbour| **neighbour != node.id) {
                self.add_link(&mut links, &node.id, neighbour, Role::InterRouter, true);
            }
        }
        for (id, router) in &self.routers {
            for connection in router.connections().filter(|connection| connection.role != Role::Other) {
                self.add_link(&mut links, id, &connection.container, connection.role, true);
            }
        }
        for (id, router) in &self.routers {
            let last = router.neighbours.iter().filter(|_| router.state == State::Gone);
            let role = if router.place == Place::Edge { Role::Edge } else { Role::InterRouter };
            last.for_each(|neighbour| self.add_link(&mut links, id, neighbour, role, false));
        }
        links.into_values().collect()
    }

    fn add_link(&self, links: &mut BTreeMap<[String; 2], Link>, one: &str, other: &str, role: Role, is_up: bool) {
        if one == other || !self.routers.contains_key(one) || !self.routers.contains_key(other) {
            return;
        }
        let ends = if one < other { [one, other] } else { [other, one] }.map(str::to_owned);
        if links.contains_key(&ends) {
            return;
        }
        let [first, second] = ends.each_ref().map(|id| &self.routers[id]);
        let is_there = |router: &Router| router.state != State::Gone;
        let sides = [first.connections_to(&ends[1]), second.connections_to(&ends[0])];
        let all = || sides.iter().flatten();
        let encrypted: Vec<_> = all().filter_map(|connection| connection.is_encrypted).collect();
        let link = Link {
            role,
            cost: first.cost_to(&ends[1]).max(second.cost_to(&ends[0])),
            connections: sides.iter().map(Vec::len).max().filter(|count| *count > 0),
            is_encrypted: (!encrypted.is_empty()).then(|| !encrypted.contains(&false)),
            is_active: role != Role::Edge || all().any(|connection| connection.is_active),
            is_up: is_up && is_there(first) && is_there(second),
            ends,
        };
        links.insert(link.ends.clone(), link);
    }
}

// === impl Router ===

impl Router {
    fn new(place: Place, now: Instant) -> Self {
        Self {
            place,
            state: State::Waiting,
            since: now,
            report: None,
            told: None,
            identity: Identity::default(),
            traffic: HashMap::new(),
            neighbours: BTreeSet::new(),
        }
    }

    fn turn(&mut self, state: State, now: Instant) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.report.iter().flat_map(|report| &report.connections)
    }

    fn connections_to(&self, other: &str) -> Vec<&Connection> {
        self.connections().filter(|c| c.container == other && c.role != Role::Other).collect()
    }

    /// The cost of the link to a neighbour: that of the way, if it leads over the link, or else that of the connector.
    fn cost_to(&self, other: &str) -> Option<u64> {
        let report = self.report.as_ref()?;
        let node = report.nodes.iter().find(|node| node.id == other && node.next_hop.is_none());
        let of_connector = || {
            let made = self.connections_to(other).into_iter().find(|connection| connection.is_out)?;
            report.connectors.iter().find(|connector| connector.target == made.host)?.cost
        };
        node.and_then(|node| node.cost).or_else(of_connector)
    }

    /// What has passed since the report before.
    fn compare(&mut self, new: &Report, now: Instant) {
        let mut former = std::mem::take(&mut self.traffic);
        let old: HashMap<_, _> =
            self.report.iter().flat_map(|report| &report.ends).map(|end| (end.key(), end)).collect();
        for end in &new.ends {
            let (kind, name, address, target) = end.key();
            let key = (kind, name.to_owned(), address.to_owned(), target.to_owned());
            let mut traffic = former.remove(&key).unwrap_or_default();
            let before = old.get(&end.key()).filter(|old| is_continued(&old.counters, &end.counters));
            if let Some(old) = before.filter(|old| old.at < end.at) {
                let passed = end.at.since(old.at).as_secs_f64();
                let [received, sent] =
                    [end.counters.received - old.counters.received, end.counters.sent - old.counters.sent];
                (traffic.received, traffic.sent) = (per_second(received, passed), per_second(sent, passed));
                let ended = end.counters.closed - old.counters.closed;
                if received > 0 {
                    (traffic.barren, traffic.barren_at) = (0, None);
                } else if ended > 0 {
                    (traffic.barren, traffic.barren_at) = (traffic.barren + ended, Some(now));
                }
            } else if before.is_none() {
                traffic = Traffic::default();
            }
            if traffic.barren_at.is_some_and(|at| now.since(at) >= RECENT) {
                (traffic.barren, traffic.barren_at) = (0, None);
            }
            self.traffic.insert(key, traffic);
        }
    }
}

/// Counters that went back are of an end that began anew.
fn is_continued(old: &super::report::Counters, new: &super::report::Counters) -> bool {
    new.received >= old.received && new.sent >= old.sent && new.closed >= old.closed && new.opened >= old.opened
}

/// Octets that passed within so many seconds.
#[expect(clippy::cast_precision_loss, reason = "people read it")]
fn per_second(octets: u64, seconds: f64) -> f64 {
    octets as f64 / seconds
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::report::{Connector, Counters, End};
    use super::*;

    pub(in super::super) fn second(second: u64) -> Instant {
        Instant::from_micros(second * 1_000_000)
    }

    pub(in super::super) fn connection(role: Role, is_out: bool, container: &str) -> Connection {
        Connection {
            number: 1,
            role,
            is_out,
            container: container.to_owned(),
            host: format!("{container}:1"),
            is_encrypted: Some(true),
            is_active: true,
        }
    }

    fn node(id: &str, next_hop: Option<&str>, cost: u64, neighbours: &[&str]) -> Node {
        let neighbours = neighbours.iter().map(|id| (*id).to_owned()).collect();
        Node { id: id.to_owned(), next_hop: next_hop.map(str::to_owned), cost: Some(cost), neighbours }
    }

    pub(in super::super) fn end(kind: EndKind, address: &str, counters: Counters, at: Instant) -> End {
        End {
            kind,
            name: format!("{}-{address}", kind.name()),
            address: address.to_owned(),
            target: "h:1".to_owned(),
            is_up: None,
            message: String::new(),
            has_tls: false,
            counters,
            at,
        }
    }

    /// A, this router, is next to B at cost 3; B has an edge router E.
    pub(in super::super) fn joined() -> Network {
        let mut network = Network::new("A", Mode::Interior, second(0));
        network.on_report("A", of_a(), second(1));
        let nodes = vec![node("A", None, 3, &["B"]), node("B", Some("(self)"), 0, &["A"])];
        let connections = vec![connection(Role::InterRouter, false, "A"), connection(Role::Edge, false, "E")];
        network.on_report("B", Report { nodes, connections, ..Report::default() }, second(1));
        network
    }

    fn of_a() -> Report {
        let nodes = vec![node("A", Some("(self)"), 0, &["B"]), node("B", None, 3, &["A"])];
        Report { nodes, connections: vec![connection(Role::InterRouter, true, "B")], ..Report::default() }
    }

    fn states(network: &Network) -> Vec<(&str, Place, State)> {
        network.routers().iter().map(|(id, router)| (id.as_str(), router.place, router.state)).collect()
    }

    #[test]
    fn the_table_and_edge_connections_tell_who_is_there() {
        let mut network = joined();
        let own = Place::Own { is_interior: true };
        assert_eq!(
            states(&network),
            [("A", own, State::Up), ("B", Place::Interior, State::Up), ("E", Place::Edge, State::Waiting)]
        );
        let links = network.links();
        let shown: Vec<_> = links.iter().map(|l| (l.ends.join("-"), l.role, l.cost, l.connections, l.is_up)).collect();
        assert_eq!(
            shown,
            [
                ("A-B".to_owned(), Role::InterRouter, Some(3), Some(1), true),
                ("B-E".to_owned(), Role::Edge, None, Some(1), true)
            ]
        );
        network.on_silence("E", second(4));
        network.on_silence("E", second(7));
        let edge = &network.routers()["E"];
        assert_eq!((edge.state, edge.since), (State::Silent, second(4)));
    }

    #[test]
    fn who_is_not_known_any_more_is_shown_for_a_while() {
        let mut network = joined();
        let alone = Report { nodes: vec![node("A", Some("(self)"), 0, &[])], ..Report::default() };
        network.on_report("A", alone.clone(), second(10));
        assert_eq!(
            states(&network).iter().map(|(.., state)| *state).collect::<Vec<_>>(),
            [State::Up, State::Gone, State::Gone]
        );
        assert_eq!(network.asked().map(|(id, _)| id).collect::<Vec<_>>(), ["A"]);
        let links: Vec<_> = network.links().into_iter().map(|link| (link.ends.join("-"), link.is_up)).collect();
        assert_eq!(links, [("A-B".to_owned(), false), ("B-E".to_owned(), false)]);
        network.on_report("B", Report::default(), second(11));
        assert_eq!(network.routers()["B"].state, State::Gone, "its answer came late");
        let mut back = joined();
        back.on_report("A", alone.clone(), second(10));
        back.on_report("A", of_a(), second(12));
        assert_eq!(back.routers()["B"].state, State::Waiting);
        network.on_report("A", alone, second(310));
        assert_eq!(network.routers().len(), 1);
    }

    #[test]
    fn an_edge_router_sees_the_network_of_its_interior_router() {
        let mut network = Network::new("E", Mode::Edge, second(0));
        let mut standby = connection(Role::Edge, true, "A");
        standby.is_active = false;
        let connections = vec![standby, connection(Role::Edge, true, "B"), connection(Role::InterEdge, true, "F")];
        network.on_report("E", Report { connections, ..Report::default() }, second(1));
        let nodes =
            vec![node("A", None, 1, &["B"]), node("B", Some("(self)"), 0, &["A", "C"]), node("C", None, 1, &["B"])];
        let report = Report { nodes, connections: vec![connection(Role::Edge, false, "E")], ..Report::default() };
        network.on_report("B", report, second(1));
        let ids: Vec<_> = network.routers().keys().map(String::as_str).collect();
        assert_eq!(ids, ["A", "B", "C", "E", "F"]);
        let links: Vec<_> = network.links().into_iter().map(|l| (l.ends.join("-"), l.role, l.is_active)).collect();
        assert_eq!(
            links,
            [
                ("A-B".to_owned(), Role::InterRouter, true),
                ("A-E".to_owned(), Role::Edge, false),
                ("B-C".to_owned(), Role::InterRouter, true),
                ("B-E".to_owned(), Role::Edge, true),
                ("E-F".to_owned(), Role::InterEdge, true),
            ]
        );
    }

    #[test]
    fn a_link_that_no_way_leads_over_has_the_cost_of_its_connector() {
        let mut network = joined();
        let connector = Connector {
            name: "to-b".to_owned(),
            target: "B:1".to_owned(),
            cost: Some(10),
            status: "SUCCESS".to_owned(),
            message: String::new(),
        };
        let nodes = vec![
            node("A", Some("(self)"), 0, &["B", "C"]),
            node("B", Some("C"), 4, &["A", "C"]),
            node("C", None, 2, &[]),
        ];
        let connections = vec![connection(Role::InterRouter, true, "B")];
        let report = Report { nodes, connections, connectors: vec![connector], ..Report::default() };
        network.on_report("A", report, second(3));
        network.on_report("B", Report::default(), second(3));
        assert_eq!(network.links()[0].cost, Some(10));
    }

    #[test]
    fn routers_have_a_bound() {
        let mut network = Network::new("A", Mode::Interior, second(0));
        let nodes = (0..200).map(|number| node(&format!("n{number:03}"), None, 1, &[])).collect();
        let edges = (0..300).map(|number| connection(Role::Edge, false, &format!("e{number:03}"))).collect();
        for seconds in [1, 2] {
            let report = Report { nodes: Vec::clone(&nodes), connections: Vec::clone(&edges), ..Report::default() };
            network.on_report("A", report, second(seconds));
            assert_eq!((network.routers().len(), network.beyond()), (MAX_ROUTERS, 245));
        }
        for seconds in 3..20 {
            let others = (0..500).map(|number| connection(Role::Edge, false, &format!("{seconds}-{number}"))).collect();
            network.on_report("A", Report { connections: others, ..Report::default() }, second(seconds));
            assert!(network.routers().len() <= 2 * MAX_ROUTERS);
        }
    }

    #[test]
    fn rates_come_from_two_reports() {
        let mut network = joined();
        let mut tell = |seconds: u64, counters: Counters| {
            let ends = vec![end(EndKind::Connector, "web", counters, second(seconds))];
            network.on_report("A", Report { ends, ..of_a() }, second(seconds));
            network.routers()["A"].traffic.values().copied().next().expect("one")
        };
        let counters = |received, sent| Counters { opened: 1, closed: 0, received, sent };
        assert_eq!(tell(10, counters(1000, 500)), Traffic::default());
        let traffic = tell(14, counters(9000, 500));
        assert_eq!((traffic.received, traffic.sent), (2000.0, 0.0));
        assert_eq!(tell(14, counters(9000, 500)).received, 2000.0, "it is what it was");
        assert_eq!(tell(16, counters(100, 500)), Traffic::default(), "it began anew");
    }

    #[test]
    fn a_server_that_sends_nothing_is_noticed() {
        let mut network = joined();
        let mut tell = |seconds: u64, closed, received| {
            let counters = Counters { opened: closed, closed, received, sent: 0 };
            let ends = vec![end(EndKind::Connector, "web", counters, second(seconds))];
            network.on_report("A", Report { ends, ..of_a() }, second(seconds));
            network.routers()["A"].traffic.values().map(|traffic| traffic.barren).next()
        };
        assert_eq!([tell(10, 5, 0), tell(12, 7, 0), tell(14, 8, 0), tell(16, 8, 0)], [0, 2, 3, 3].map(Some));
        assert_eq!([tell(18, 9, 1), tell(20, 10, 1)], [0, 1].map(Some));
        assert_eq!(tell(320, 10, 1), Some(0), "long ago");
    }
}
