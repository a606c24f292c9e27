//! `router.node`: a router of the network, this one included.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::runtime::{Runtime, now};
use crate::schema::attribute::{entity_id, list, number, text};
use crate::schema::{EntityDef, Identity, Origin};
use amqp_core::Value;
use router_engine::core::nodes::NodeRow;
use router_engine::index::NodeIndex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) static DEF: EntityDef = EntityDef {
    name: "router.node",
    identity: Identity::Attribute("id"),
    origin: Origin::Reported { rank: 0 },
    description: "A router of the network, this one included.",
    attributes: &[
        text("id", "The router id."),
        number("protocolVersion", "The version of the routing protocol it speaks."),
        number("instance", "Differs each time it starts."),
        list("linkState", "Its neighbours."),
        text("nextHop", "The neighbour on the way to it, or (self)."),
        list("validOrigins", "Routers whose multicast messages to it pass here."),
        text("address", "Its address."),
        entity_id("routerLink", "The direct link to it."),
        number("cost", "The cost of the way to it."),
        number("lastTopoChange", "When the topology changed last, in seconds since 1970."),
        number("index", "Its position in histograms."),
    ],
    ..EntityDef::OPERATIONAL
};

const COLUMNS: &[Column<NodeRow>] = &[
    ("id", |row| row.id.as_str().into()),
    ("index", |row| column::counter(row.index.get() as u64)),
    ("protocolVersion", |row| row.version.into()),
    ("instance", |row| row.instance.unwrap_or(0).into()),
    ("linkState", |row| texts(&row.peers)),
    ("nextHop", |row| if is_own(row) { "(self)".into() } else { row.next_hop.as_deref().into() }),
    ("validOrigins", |row| texts(&row.valid_origins)),
    ("address", |row| format!("amqp:/_topo/0/{}", row.id).into()),
];

/// Of this router only.
const OWN: &[Column<NodeRow>] = &[("lastTopoChange", |row| counter(topology_changed(row.since_change)))];

/// Of other routers only.
const OTHERS: &[Column<NodeRow>] = &[
    ("routerLink", |row| row.link.map(|link| column::counter(link.get() as u64)).into()),
    ("cost", |row| (row.cost > 0).then(|| i64::from(row.cost)).into()),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    /// Only an interior router knows routers; itself comes first.
    fn instances(&self, runtime: &Runtime) -> Vec<Attributes> {
        let rows = runtime.router().map(|router| router.node_rows(now()));
        rows.iter().flatten().map(shown).collect()
    }
}

fn shown(row: &NodeRow) -> Attributes {
    let own = column::shown(if is_own(row) { OWN } else { OTHERS }, row);
    column::shown(COLUMNS, row).into_iter().chain(own).collect()
}

fn is_own(row: &NodeRow) -> bool {
    row.index == NodeIndex::OWN
}

fn texts(ids: &[String]) -> Value {
    Value::List(ids.iter().map(|id| id.as_str().into()).collect())
}

/// When the topology changed, in seconds since the Unix epoch; zero when it never did.
pub(crate) fn topology_changed(since: Option<Duration>) -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.map_or(0, |since| since_epoch.saturating_sub(since).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::MapLiteral;
    use router_engine::index::NeighbourIndex;

    fn row(index: usize) -> NodeRow {
        NodeRow {
            index: NodeIndex::new(index).expect("there is such a router"),
            id: "R".to_owned(),
            version: 1,
            instance: Some(17),
            peers: vec!["A".to_owned()],
            next_hop: Some("A".to_owned()),
            link: NeighbourIndex::new(2),
            cost: 3,
            valid_origins: vec!["B".to_owned()],
            since_change: Some(Duration::MAX),
        }
    }

    #[test]
    fn this_router_and_others_show_different_things() {
        let text = |row: &NodeRow| MapLiteral(&shown(row).into_map()).to_string();
        let common = "'linkState': ['A'], 'nextHop'";
        assert_eq!(
            text(&row(0)),
            format!(
                "{{'id': 'R', 'index': 0, 'protocolVersion': 1, 'instance': 17, {common}: '(self)', 'validOrigins': \
                 ['B'], 'address': 'amqp:/_topo/0/R', 'lastTopoChange': 0}}"
            )
        );
        assert_eq!(
            text(&row(4)),
            format!(
                "{{'id': 'R', 'index': 4, 'protocolVersion': 1, 'instance': 17, {common}: 'A', 'validOrigins': ['B'], \
                 'address': 'amqp:/_topo/0/R', 'routerLink': 2, 'cost': 3}}"
            )
        );
    }

    #[test]
    fn a_router_that_was_only_heard_of_has_no_instance_and_no_link() {
        let row = shown(&NodeRow { instance: None, link: None, next_hop: None, ..row(4) });
        assert_eq!(row.number("instance"), Some(0));
        assert_eq!([row.get("routerLink"), row.get("nextHop")], [Some(&Value::Null); 2]);
    }

    #[test]
    fn a_router_has_a_cost_once_there_is_a_way_to_it() {
        let row = shown(&NodeRow { cost: 0, ..row(4) });
        assert_eq!(row.get("cost"), Some(&Value::Null));
    }

    #[test]
    fn times_are_told_since_the_epoch() {
        let [now, before] = [0, 100].map(|seconds| topology_changed(Some(Duration::from_secs(seconds))));
        assert!((99..=101).contains(&(now - before)), "{now} {before}");
        assert_eq!(topology_changed(None), 0);
    }
}
