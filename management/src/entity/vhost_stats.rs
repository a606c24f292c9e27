//! `vhostStats`: how the policy of one virtual host was applied.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::runtime::Runtime;
use crate::schema::attribute::{gauge, map, text};
use crate::schema::{EntityDef, Identity, Origin};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::policy::VhostFigures;
use std::collections::BTreeMap;

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

/// Live attributes.
const COLUMNS: &[Column<VhostFigures>] = &[
    ("hostname", |vhost| vhost.name.as_str().into()),
    ("connectionsApproved", |vhost| counter(vhost.approved)),
    ("connectionsDenied", |vhost| counter(vhost.refused)),
    ("connectionsCurrent", |vhost| counter(vhost.current)),
    ("perUserState", |vhost| connections(&vhost.by_user)),
    ("perHostState", |vhost| connections(&vhost.by_host)),
    ("sessionDenied", |vhost| counter(vhost.sessions_denied)),
    ("senderDenied", |vhost| counter(vhost.senders_denied)),
    ("receiverDenied", |vhost| counter(vhost.receivers_denied)),
    ("maxMessageSizeDenied", |vhost| counter(vhost.messages_denied)),
];

fn connections(by: &BTreeMap<String, Vec<String>>) -> Value {
    let list = |peers: &Vec<String>| Value::List(peers.iter().map(|peer| peer.as_str().into()).collect());
    Map(by.iter().map(|(key, peers)| (key.as_str().into(), list(peers))).collect()).into()
}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn instances(&self, runtime: &Runtime) -> Vec<Attributes> {
        let vhosts = runtime.router().map(|router| router.vhost_figures()).unwrap_or_default();
        vhosts.iter().map(|vhost| column::shown(COLUMNS, vhost)).collect()
    }
}
