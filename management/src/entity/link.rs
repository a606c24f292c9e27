//! `router.link`: a link that is attached to the router.

use super::column::{Column, counts, seconds};
use super::table::{Core, Key, Rows, Table};
use super::{EntityKind, EntityType};
use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, list, number, one_of, text};
use amqp_core::Value;
use router_engine::core::snapshot::{LinkKey, LinkRow, Page};

pub(super) static DEF: EntityDef = EntityDef {
    name: "router.link",
    description: "A link that is attached to the router.",
    attributes: &[
        one_of("operStatus", &["up", "down", "quiescing", "idle"], "How the link stands."),
        text("linkName", "The name that the attaching end chose."),
        one_of("linkType", &["endpoint", "router-control", "inter-router", "inter-edge"], "What the link carries."),
        one_of("linkDir", &["in", "out"], "Whether the router receives or sends."),
        text("owningAddr", "The key of the address that the link belongs to."),
        number("capacity", "The credit that the link is given at most."),
        gauge("undeliveredCount", "Deliveries not sent yet."),
        gauge("unsettledCount", "Deliveries that wait for settlement."),
        gauge("deliveryCount", "Deliveries so far."),
        number("connectionId", "The identity of the connection."),
        gauge("presettledCount", "Deliveries that came settled."),
        gauge("droppedPresettledCount", "Settled deliveries thrown away."),
        gauge("acceptedCount", "Deliveries that ended accepted."),
        gauge("rejectedCount", "Deliveries that ended rejected."),
        gauge("releasedCount", "Deliveries that ended released."),
        gauge("modifiedCount", "Deliveries that ended modified."),
        gauge("deliveriesDelayed1Sec", "Deliveries whose settlement took from 1 to 10 seconds."),
        gauge("deliveriesDelayed10Sec", "Deliveries whose settlement took more than 10 seconds."),
        gauge("deliveriesStuck", "Deliveries that wait for settlement for more than 10 seconds now."),
        gauge("openMovedStreams", "Streams under way that were moved to a link of their own."),
        gauge("creditAvailable", "Credit left."),
        number("zeroCreditSeconds", "How long there has been no credit."),
        gauge("settleRate", "Settlements per second lately."),
        list("ingressHistogram", "Deliveries by the router where they entered."),
        number("priority", "The priority of the messages on an inter-router link."),
    ],
    ..EntityDef::OPERATIONAL
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn table(&self) -> Option<&'static dyn Table> {
        Some(&Self)
    }
}

impl Rows for Kind {
    type Row = LinkRow;

    const TYPE: EntityType = EntityType::Link;

    const COLUMNS: &'static [Column<LinkRow>] = &[
        ("name", |l| l.name.as_str().into()),
        ("identity", |l| l.number.to_string().into()),
        ("type", |_| Self::TYPE.full().into()),
        ("linkName", |l| l.name.as_str().into()),
        ("linkType", |l| l.link_type.into()),
        ("linkDir", |l| if l.incoming { "in" } else { "out" }.into()),
        ("owningAddr", |l| l.owning_address.as_deref().into()),
        ("capacity", |l| Value::Uint(l.capacity)),
        ("undeliveredCount", |l| Value::Ulong(l.undelivered.into())),
        ("unsettledCount", |l| Value::Ulong(l.unsettled.into())),
        ("deliveryCount", |l| Value::Ulong(l.counters.deliveries)),
        ("connectionId", |l| l.connection.to_string().into()),
        ("operStatus", |l| if l.up { "up" } else { "down" }.into()),
        ("presettledCount", |l| Value::Ulong(l.counters.presettled)),
        ("droppedPresettledCount", |l| Value::Ulong(l.counters.dropped_presettled)),
        ("acceptedCount", |l| Value::Ulong(l.counters.accepted)),
        ("rejectedCount", |l| Value::Ulong(l.counters.rejected)),
        ("releasedCount", |l| Value::Ulong(l.counters.released)),
        ("modifiedCount", |l| Value::Ulong(l.counters.modified)),
        ("deliveriesDelayed1Sec", |l| Value::Ulong(l.counters.delayed_1sec)),
        ("deliveriesDelayed10Sec", |l| Value::Ulong(l.counters.delayed_10sec)),
        ("deliveriesStuck", |l| Value::Ulong(l.counters.stuck)),
        ("openMovedStreams", |l| Value::Ulong(l.moved_streams.into())),
        ("ingressHistogram", |l| counts(l.ingress.as_deref())),
        ("priority", |l| Value::Uint(l.priority.into())),
        ("settleRate", |l| Value::Uint(l.settle_rate)),
        ("creditAvailable", |l| Value::Uint(l.credit)),
        ("zeroCreditSeconds", |l| seconds(l.zero_credit)),
    ];

    fn page(&self, core: &Core<'_>, page: Page) -> Vec<LinkRow> {
        core.backend.links(page)
    }

    fn find(&self, core: &Core<'_>, key: Key<'_>) -> Option<LinkRow> {
        core.backend.link(match key {
            Key::Identity(identity) => LinkKey::Number(identity.parse().ok()?),
            Key::Name(name) => LinkKey::Name(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fake::agent;
    use crate::entity::table::row_map;
    use crate::notation::Literal;
    use std::time::Duration;

    fn row() -> LinkRow {
        let mut row = LinkRow {
            number: 1,
            connection: 2,
            name: "l".to_owned(),
            link_type: "endpoint",
            incoming: true,
            owning_address: Some("Ma".to_owned()),
            capacity: 250,
            undelivered: 3,
            unsettled: 4,
            up: true,
            counters: Default::default(),
            moved_streams: 14,
            priority: 5,
            credit: 15,
            zero_credit: Duration::from_millis(16900),
            settle_rate: 18,
            ingress: None,
        };
        let c = &mut row.counters;
        (c.deliveries, c.presettled, c.dropped_presettled, c.accepted) = (5, 6, 7, 8);
        (c.rejected, c.released, c.modified, c.delayed_1sec, c.delayed_10sec) = (9, 10, 11, 12, 13);
        c.stuck = 17;
        row
    }

    #[test]
    fn all_columns() {
        assert_eq!(
            Literal(&row_map::<Kind>(&row()).into()).to_string(),
            "{'name': 'l', 'identity': '1', 'type': 'io.skupper.router.router.link', 'linkName': 'l', 'linkType': \
             'endpoint', 'linkDir': 'in', 'owningAddr': 'Ma', 'capacity': 250, 'undeliveredCount': 3, 'unsettledCount': \
             4, 'deliveryCount': 5, 'connectionId': '2', 'operStatus': 'up', 'presettledCount': 6, \
             'droppedPresettledCount': 7, 'acceptedCount': 8, 'rejectedCount': 9, 'releasedCount': 10, 'modifiedCount': \
             11, 'deliveriesDelayed1Sec': 12, 'deliveriesDelayed10Sec': 13, 'deliveriesStuck': 17, 'openMovedStreams': 14, \
             'ingressHistogram': None, 'priority': 5, 'settleRate': 18, 'creditAvailable': 15, 'zeroCreditSeconds': 16}"
        );
        let other = row_map::<Kind>(&LinkRow { incoming: false, up: false, owning_address: None, ..row() });
        let counted = row_map::<Kind>(&LinkRow { ingress: Some(vec![19, 0]), ..row() });
        let histogram = Value::List(vec![Value::Ulong(19), Value::Ulong(0)]);
        assert_eq!(counted.get("ingressHistogram"), Some(&histogram));
        let shown = ["linkDir", "operStatus", "owningAddr"].map(|name| other.get(name).cloned());
        assert_eq!(shown, [Some("out".into()), Some("down".into()), Some(Value::Null)]);
    }

    #[test]
    fn figures_have_the_types_that_clients_know() {
        let map = row_map::<Kind>(&row());
        for (name, _) in Kind::COLUMNS {
            let value = map.get(name).expect("a column");
            let is_known = match *name {
                "capacity" | "priority" | "settleRate" | "creditAvailable" | "zeroCreditSeconds" => {
                    matches!(value, Value::Uint(_))
                }
                "ingressHistogram" => value.is_null(),
                _ => matches!(value, Value::String(_) | Value::Ulong(_)),
            };
            assert!(is_known, "{name}: {value:?}");
        }
    }

    #[test]
    fn an_identity_that_is_no_number_is_that_of_no_link() {
        assert!(Kind.find(&agent().core(), Key::Identity("l")).is_none());
    }
}
