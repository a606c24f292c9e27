//! `policy`: policy of the router as a whole.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, number, path, text};

static DEF: EntityDef = EntityDef {
    name: "policy",
    singleton: true,
    description: "Policy of the router as a whole.",
    attributes: &[
        number("maxConnections", "Client connections at a time.").natural().or_number(65535).create(),
        number("maxMessageSize", "Octets in the largest message; 0 is no limit.").natural().or_number(0).create(),
        flag("enableVhostPolicy", "Apply the rules of vhosts.").or_flag(false).create(),
        flag("enableVhostNamePatterns", "Names of vhosts are patterns.").or_flag(false).create(),
        path("policyDir", "Directory of JSON files with vhosts.").or_text("").create(),
        text("defaultVhost", "The vhost for connections that no other covers.").or_text("$default").create(),
        gauge("connectionsProcessed", "Connections examined."),
        gauge("connectionsDenied", "Connections refused."),
        gauge("connectionsCurrent", "Connections open now."),
        gauge("linksDenied", "Links refused."),
        gauge("maxMessageSizeDenied", "Messages refused because of their size."),
        gauge("totalDenials", "Refusals of any kind."),
    ],
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn boot_rank(&self) -> Option<u8> {
        Some(3)
    }

    fn own_id(&self, _: &Attributes) -> Option<String> {
        Some(identity::NONE.to_owned())
    }
}
