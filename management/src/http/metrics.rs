//! Figures in the text format of Prometheus: the known names, types and order, and no labels.

use crate::entity::allocator::{Pool, pools};
use crate::entity::node::topology_changed;
use crate::entity::router_metrics::service_connections;
use crate::memory::{self, Usage};
use crate::runtime::now;
use router_engine::Router;
use router_engine::core::snapshot::RouterRow;
use std::fmt::Write;

/// What a figure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

use Kind::{Counter, Gauge};

/// A name, its type and where its value is.
type Figure<R> = (&'static str, Kind, fn(&R) -> u64);

/// Of the router.
const ROUTER: &[Figure<RouterRow>] = &[
    ("qdr_connections_total", Gauge, |r| r.connections as u64),
    ("qdr_links_total", Gauge, |r| r.links as u64),
    ("qdr_addresses_total", Gauge, |r| r.addresses as u64),
    ("qdr_routers_total", Gauge, |r| r.nodes as u64),
    ("qdr_presettled_deliveries_total", Counter, |r| r.totals.outcomes.presettled),
    ("qdr_dropped_presettled_deliveries_total", Counter, |r| r.totals.outcomes.dropped_presettled),
    ("qdr_accepted_deliveries_total", Counter, |r| r.totals.outcomes.accepted),
    ("qdr_released_deliveries_total", Counter, |r| r.totals.outcomes.released),
    ("qdr_rejected_deliveries_total", Counter, |r| r.totals.outcomes.rejected),
    ("qdr_modified_deliveries_total", Counter, |r| r.totals.outcomes.modified),
    ("qdr_deliveries_ingress_total", Counter, |r| r.totals.ingress),
    ("qdr_deliveries_egress_total", Counter, |r| r.totals.egress),
    ("qdr_deliveries_transit_total", Counter, |r| r.totals.transit),
    ("qdr_deliveries_delayed_1sec_total", Counter, |r| r.totals.outcomes.delayed_1sec),
    ("qdr_deliveries_delayed_10sec_total", Counter, |r| r.totals.outcomes.delayed_10sec),
    ("qdr_deliveries_stuck_total", Gauge, |r| r.totals.outcomes.stuck),
    ("qdr_links_blocked_total", Gauge, |r| r.totals.links_blocked.into()),
    ("qdr_last_topology_change_timestamp", Gauge, |r| topology_changed(r.since_topology_change)),
];

/// Of each kind of object, behind its name.
const POOL: &[Figure<Pool>] = &[
    ("allocated", Gauge, |pool| pool.total as u64),
    ("in_use", Gauge, |pool| pool.used as u64),
    ("cached", Gauge, |pool| (pool.total - pool.used) as u64),
    ("bytes", Gauge, octets),
];

/// Of the process, where the system tells.
const PROCESS: &[Figure<Usage>] =
    &[("qdr_router_vmsize_bytes", Gauge, |usage| usage.total), ("qdr_router_rss_bytes", Gauge, |usage| usage.resident)];

/// The text with all figures.
pub(super) fn page(router: &Router) -> String {
    let row = router.router_row(now());
    text(&row, &pools(&row), memory::usage())
}

fn text(row: &RouterRow, pools: &[Pool], usage: Option<Usage>) -> String {
    let mut text = String::new();
    add_all(&mut text, ROUTER, row);
    for pool in pools {
        for (name, kind, value) in POOL {
            add(&mut text, &format!("{}:{name}", pool.name), *kind, value(pool));
        }
    }
    add(&mut text, "qdr_alloc_pool_bytes", Gauge, pools.iter().map(octets).sum());
    if let Some(usage) = usage {
        add_all(&mut text, PROCESS, &usage);
    }
    for (protocol, count) in service_connections(row) {
        add(&mut text, &format!("qdr_{protocol}_service_connections"), Gauge, count);
    }
    text
}

fn octets(pool: &Pool) -> u64 {
    (pool.total * pool.size) as u64
}

fn add_all<R>(text: &mut String, figures: &[Figure<R>], row: &R) {
    for (name, kind, value) in figures {
        add(text, name, *kind, value(row));
    }
}

fn add(text: &mut String, name: &str, kind: Kind, value: u64) {
    // A string takes whatever is written to it.
    let _ = writeln!(text, "# TYPE {name} {}\n{name} {value}", kind.word());
}

// === impl Kind ===

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures as a scraper reads them: name, type and value, in their order.
    fn parsed(text: &str) -> Vec<(&str, &str, u64)> {
        let is_name = |name: &str| {
            let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
            name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
        };
        assert!(text.ends_with('\n') && !text.contains('\r'));
        let lines: Vec<_> = text.lines().collect();
        lines
            .chunks(2)
            .map(|lines| {
                let [declared, sample] = lines else { panic!("half a figure: {lines:?}") };
                let declared = declared.strip_prefix("# TYPE ").expect("a type");
                let (name, kind) = declared.split_once(' ').expect("a name and a type");
                let (sampled, value) = sample.split_once(' ').expect("a name and a value");
                assert!(is_name(name) && name == sampled, "{declared} {sample}");
                (name, kind, value.parse().expect("a number"))
            })
            .collect()
    }

    fn row() -> RouterRow {
        let mut row = RouterRow {
            connections: 1,
            links: 2,
            addresses: 3,
            nodes: 4,
            services: vec![("amqp", 30), ("tcp", 31)],
            ..RouterRow::default()
        };
        let outcomes = &mut row.totals.outcomes;
        (outcomes.presettled, outcomes.dropped_presettled, outcomes.accepted) = (5, 6, 7);
        (outcomes.released, outcomes.rejected, outcomes.modified) = (8, 9, 10);
        (outcomes.delayed_1sec, outcomes.delayed_10sec, outcomes.stuck) = (14, 15, 16);
        let totals = &mut row.totals;
        (totals.ingress, totals.egress, totals.transit, totals.links_blocked) = (11, 12, 13, 17);
        row
    }

    #[test]
    fn every_figure_has_its_name_type_and_place() {
        let pools = [
            Pool { name: "qd_buffer_t", size: 10, used: 2, total: 5 },
            Pool { name: "qd_message_t", size: 100, used: 3, total: 3 },
        ];
        let text = text(&row(), &pools, Some(Usage { total: 28, resident: 29 }));
        let expected = [
            ("qdr_connections_total", "gauge", 1),
            ("qdr_links_total", "gauge", 2),
            ("qdr_addresses_total", "gauge", 3),
            ("qdr_routers_total", "gauge", 4),
            ("qdr_presettled_deliveries_total", "counter", 5),
            ("qdr_dropped_presettled_deliveries_total", "counter", 6),
            ("qdr_accepted_deliveries_total", "counter", 7),
            ("qdr_released_deliveries_total", "counter", 8),
            ("qdr_rejected_deliveries_total", "counter", 9),
            ("qdr_modified_deliveries_total", "counter", 10),
            ("qdr_deliveries_ingress_total", "counter", 11),
            ("qdr_deliveries_egress_total", "counter", 12),
            ("qdr_deliveries_transit_total", "counter", 13),
            ("qdr_deliveries_delayed_1sec_total", "counter", 14),
            ("qdr_deliveries_delayed_10sec_total", "counter", 15),
            ("qdr_deliveries_stuck_total", "gauge", 16),
            ("qdr_links_blocked_total", "gauge", 17),
            ("qdr_last_topology_change_timestamp", "gauge", 0),
            ("qd_buffer_t:allocated", "gauge", 5),
            ("qd_buffer_t:in_use", "gauge", 2),
            ("qd_buffer_t:cached", "gauge", 3),
            ("qd_buffer_t:bytes", "gauge", 50),
            ("qd_message_t:allocated", "gauge", 3),
            ("qd_message_t:in_use", "gauge", 3),
            ("qd_message_t:cached", "gauge", 0),
            ("qd_message_t:bytes", "gauge", 300),
            ("qdr_alloc_pool_bytes", "gauge", 350),
            ("qdr_router_vmsize_bytes", "gauge", 28),
            ("qdr_router_rss_bytes", "gauge", 29),
            ("qdr_tcp_service_connections", "gauge", 31),
            ("qdr_amqp_service_connections", "gauge", 30),
            ("qdr_http1_service_connections", "gauge", 0),
            ("qdr_http2_service_connections", "gauge", 0),
        ];
        assert_eq!(parsed(&text), expected);
    }

    #[test]
    fn memory_that_the_system_does_not_tell_is_left_out() {
        let text = text(&row(), &[], None);
        let names: Vec<_> = parsed(&text).into_iter().map(|(name, ..)| name).collect();
        assert!(names.contains(&"qdr_alloc_pool_bytes") && !names.iter().any(|name| name.starts_with("qdr_router_")));
    }

    #[test]
    fn the_time_of_a_change_is_told_since_the_epoch() {
        let row = RouterRow { since_topology_change: Some(std::time::Duration::from_secs(5)), ..row() };
        let text = text(&row, &[], None);
        let changed = parsed(&text).into_iter().find(|(name, ..)| *name == "qdr_last_topology_change_timestamp");
        assert!(changed.is_some_and(|(.., at)| at > 1_700_000_000), "{changed:?}");
    }
}
