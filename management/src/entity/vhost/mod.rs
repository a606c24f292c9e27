//! `vhost`: policy of one virtual host.

pub(super) mod group;

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, map, number, text};

static DEF: EntityDef = EntityDef {
    name: "vhost",
    operations: &["CREATE", "UPDATE", "DELETE"],
    description: "Policy of one virtual host.",
    attributes: &[
        text("hostname", "The name of the host, or a pattern.").required().create(),
        text("aliases", "Other names, separated by commas or blanks.").create().update(),
        number("maxConnections", "Connections at a time.").natural().or_number(65535).create().update(),
        number("maxMessageSize", "Octets in the largest message; 0 is no limit.").natural(),
        number("maxConnectionsPerUser", "Connections at a time of one user.")
            .natural()
            .or_number(65535)
            .create()
            .update(),
        number("maxConnectionsPerHost", "Connections at a time from one host.")
            .natural()
            .or_number(65535)
            .create()
            .update(),
        flag("allowUnknownUser", "Users in no group get the group $default.").or_flag(false).create().update(),
        map("groups", "Names of user groups, and their settings.").create().update(),
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
        Some(7)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "hostname"))
    }
}
