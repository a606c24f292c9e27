//! `httpRequestInfo`: how requests of one host to or from one address were answered.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::runtime::Runtime;
use crate::schema::attribute::{gauge, map, one_of, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::http_service::{Direction, RequestInfo};
use amqp_core::value::Map;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub(super) static DEF: EntityDef = EntityDef {
    name: "httpRequestInfo",
    identity: Identity::Name("label"),
    origin: Origin::Reported { rank: 4 },
    description: "How the requests of one host to or from one address were answered.",
    attributes: &[
        text("address", "The service address."),
        text("host", "The client's or server's host."),
        text("site", "The site at the other end, where it has told its name."),
        one_of("direction", &["in", "out"], "Whether requests come from the host or go to it."),
        gauge("requests", "Requests that were answered."),
        gauge("bytesIn", "Octets of bodies from the host."),
        gauge("bytesOut", "Octets of bodies to the host."),
        gauge("maxLatency", "The longest that a request took, in milliseconds."),
        map("details", "How often a method was answered with a status."),
    ],
    ..EntityDef::OPERATIONAL
};

const COLUMNS: &[Column<RequestInfo>] = &[
    // No attribute: what the identity is made of.
    ("label", |row| label(row).into()),
    ("address", |row| row.address.as_str().into()),
    ("host", |row| row.host.as_str().into()),
    ("site", |row| row.site.as_deref().unwrap_or_default().into()),
    ("direction", |row| direction(row.direction).into()),
    ("requests", |row| counter(row.requests)),
    ("bytesIn", |row| counter(row.bytes_in)),
    ("bytesOut", |row| counter(row.bytes_out)),
    ("maxLatency", |row| counter(u64::try_from(row.max_latency.as_millis()).unwrap_or(u64::MAX))),
    ("details", |row| {
        let details = row.details.iter();
        details.fold(Map::new(), |details, (name, count)| details.with(name.as_str(), counter(*count))).into()
    }),
];

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

fn label(row: &RequestInfo) -> String {
    let side = match row.direction {
        Direction::In => 'i',
        Direction::Out => 'o',
    };
    let site = row.site.as_ref().map(|site| format!("@{site}")).unwrap_or_default();
    format!("{side}_{}_{}{site}", row.host, row.address)
}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn instances(&self, runtime: &Runtime) -> Vec<Attributes> {
        let Ok(engine) = runtime.engine() else { return Vec::new() };
        let services = engine.io.all_services();
        let rows = services.iter().filter_map(|service| service.http()).flat_map(|(_, counters)| counters.rows());
        merged(rows).values().map(|row| column::shown(COLUMNS, row)).collect()
    }
}

/// What rows that count together have in common: their label, and what that is made of, as names may contain what is between
/// them.
type Key = (String, String, Option<String>);

/// Several listeners or connectors of one address, or former ones, count together.
fn merged(rows: impl Iterator<Item = RequestInfo>) -> BTreeMap<Key, RequestInfo> {
    let mut merged = BTreeMap::new();
    for row in rows {
        match merged.entry((label(&row), row.address.clone(), row.site.clone())) {
            Entry::Vacant(vacant) => drop(vacant.insert(row)),
            Entry::Occupied(mut known) => known.get_mut().add(row),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn listeners_of_one_address_count_together() {
        let row = |host: &str, requests, latency, details: &[(&str, u64)]| RequestInfo {
            address: "a".to_owned(),
            host: host.to_owned(),
            site: None,
            direction: Direction::In,
            requests,
            bytes_in: 1,
            bytes_out: 2,
            max_latency: Duration::from_millis(latency),
            details: details.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        };
        let rows = [
            row("h", 3, 7, &[("GET:200", 3)]),
            row("i", 1, 1, &[("GET:200", 1)]),
            row("h", 5, 4, &[("GET:200", 4), ("PUT:404", 1)]),
            RequestInfo { address: "a_b".to_owned(), ..row("i", 1, 1, &[]) },
        ];
        let apart = [row("i_a", 1, 1, &[]), RequestInfo { address: "a_a".to_owned(), ..row("i", 1, 1, &[]) }];
        assert_eq!(merged(apart.into_iter()).len(), 2, "of one label, but not of one host");
        let merged = merged(rows.into_iter());
        assert_eq!(merged.keys().map(|(label, ..)| label).collect::<Vec<_>>(), ["i_h_a", "i_i_a", "i_i_a_b"]);
        let mut sum = row("h", 8, 7, &[("GET:200", 7), ("PUT:404", 1)]);
        (sum.bytes_in, sum.bytes_out) = (2, 4);
        assert_eq!(merged.values().next(), Some(&sum));
    }
}
