//! `router.config.address`: how messages to a family of addresses are treated.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::{number, one_of, text};
use router_engine::forward::Treatment;

/// Distributions an operator can choose.
pub(super) const DISTRIBUTIONS: &[&str] = &["multicast", "closest", "balanced", "unavailable"];

static DEF: EntityDef = EntityDef {
    name: "router.config.address",
    operations: &["CREATE", "DELETE"],
    description: "How messages to a family of addresses are treated.",
    attributes: &[
        text("prefix", "Covers the address and all below it.").create(),
        text("pattern", "Covers addresses that match, with * for one token and # for any number.").create(),
        one_of("distribution", DISTRIBUTIONS, "Which consumers get a message.").or_text("balanced").create(),
        number("priority", "The priority of messages that carry none.").create(),
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
        Some(5)
    }
}

/// The treatment that a word stands for; balanced when it is none.
pub(crate) fn treatment(word: Option<&str>) -> Treatment {
    match word {
        Some("multicast") => Treatment::Multicast,
        Some("closest") => Treatment::Closest,
        Some("unavailable") => Treatment::Unavailable,
        _ => Treatment::Balanced,
    }
}
