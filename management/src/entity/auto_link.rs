//! `router.config.autoLink`: a link that is attached whenever a certain peer is connected.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::{one_of, text};

static DEF: EntityDef = EntityDef {
    name: "router.config.autoLink",
    operations: &["CREATE", "DELETE"],
    description: "A link that the router attaches whenever a certain peer is connected.",
    attributes: &[
        text("address", "The address inside the network.").create(),
        one_of("direction", &["in", "out"], "Whether the router receives or sends.").required().create(),
        text("containerId", "The container id of the peer.").create(),
        text("connection", "The name of the listener or connector of the peer.").create(),
        text("externalAddress", "The address at the peer, when another.").create(),
        text("linkRef", "The link that is attached."),
        one_of(
            "operStatus",
            &["inactive", "attaching", "failed", "active", "quiescing", "idle"],
            "How the link stands.",
        ),
        text("lastError", "Why the last attempt failed."),
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
        Some(6)
    }
}
