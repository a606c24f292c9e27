//! `vhostStats`: how the policy of one virtual host was applied.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, map, text};

static DEF: EntityDef = EntityDef {
    name: "vhostStats",
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

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "hostname"))
    }
}
