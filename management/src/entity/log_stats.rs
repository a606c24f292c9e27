//! `logStats`: how many events a log module saw.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::gauge;

static DEF: EntityDef = EntityDef {
    name: "logStats",
    description: "How many events a log module saw, written or not.",
    attributes: &[
        gauge("debugCount", "Events at level debug."),
        gauge("infoCount", "Events at level info."),
        gauge("noticeCount", "Always absent."),
        gauge("warningCount", "Events at level warning."),
        gauge("errorCount", "Events at level error."),
        gauge("criticalCount", "Events at level critical."),
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
        Some(identity::of(attributes, "module"))
    }

    fn default_name<'a>(&self, _identity: &'a str, own_id: &'a str) -> &'a str {
        own_id
    }
}
