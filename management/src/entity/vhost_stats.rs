//! `vhostStats`: how the policy of one virtual host was applied.

use super::EntityKind;
use super::column::{self, Column, counter};
use super::vhost::Known;
use crate::attributes::Attributes;
use crate::runtime::Runtime;
use crate::schema::attribute::{gauge, map, text};
use crate::schema::{EntityDef, Identity, Origin};
use amqp_core::value::Map;

pub(super) static DEF: EntityDef = EntityDef {
    name: "vhostStats",
    identity: Identity::Attribute("hostname"),
    origin: Origin::Reported { rank: 3 },
    description: "How the policy of one virtual host was applied.",
    attributes: &[
        text("hostname", "The name of the vhost."),
        gauge("connectionsApproved", "Connections admitted."),
        gauge("connectionsDenied", "Connections refused."),
        gauge("connectionsCurrent", "Connections open now."),
        map("perUserState", "Connections by user."),
        map("perHostState", "Connections by remote host."),
        gauge("sessionDenied", "Sessions refused."),
        gauge("senderDenied", "Sending links refused."),
        gauge("receiverDenied", "Receiving links refused."),
        gauge("maxMessageSizeDenied", "Messages refused because of their size."),
    ],
    ..EntityDef::OPERATIONAL
};

/// Of the name of a vhost. As with the policy, nothing is counted yet.
const COLUMNS: &[Column<String>] = &[
    ("hostname", |name| name.as_str().into()),
    ("connectionsApproved", |_| counter(0)),
    ("connectionsDenied", |_| counter(0)),
    ("connectionsCurrent", |_| counter(0)),
    ("perUserState", |_| Map::new().into()),
    ("perHostState", |_| Map::new().into()),
    ("sessionDenied", |_| counter(0)),
    ("senderDenied", |_| counter(0)),
    ("receiverDenied", |_| counter(0)),
    ("maxMessageSizeDenied", |_| counter(0)),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn instances(&self, runtime: &Runtime) -> Vec<Attributes> {
        let known = runtime.objects.get::<Known>("");
        known.into_iter().flat_map(|known| &known.0).map(|name| column::shown(COLUMNS, name)).collect()
    }
}
