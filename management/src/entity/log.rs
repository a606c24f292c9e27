//! `log`: what a log module writes, and where.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, one_of, text};

/// Names of the log modules; a test holds them against [`router_engine::log::LogModule`].
const MODULES: &[&str] = &[
    "ROUTER",
    "ROUTER_CORE",
    "ROUTER_HELLO",
    "ROUTER_LS",
    "ROUTER_MA",
    "MESSAGE",
    "SERVER",
    "AGENT",
    "CONTAINER",
    "ERROR",
    "POLICY",
    "HTTP",
    "CONN_MGR",
    "PYTHON",
    "PROTOCOL",
    "TCP_ADAPTOR",
    "HTTP_ADAPTOR",
    "FLOW_LOG",
    "ADDRESS_WATCH",
    "HTTP1_OBSERVER",
    "HTTP2_OBSERVER",
    "HTTP2_DECODER",
    "DEFAULT",
];

static DEF: EntityDef = EntityDef {
    name: "log",
    operations: &["UPDATE"],
    description: "What a log module writes, and where.",
    attributes: &[
        one_of("module", MODULES, "The module; DEFAULT stands for what others leave open.").required(),
        text("enable", "Levels to write: names, with + for a level and all above; none; default.").update(),
        flag("includeTimestamp", "Begin lines with the time.").update(),
        flag("includeSource", "End lines with the place in the source.").update(),
        text("outputFile", "stdout, stderr, syslog, or a file to append to.").update(),
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
        Some(0)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "module"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_engine::log::LogModule;

    #[test]
    fn log_modules_agree_with_the_facade() {
        assert!(LogModule::ALL.iter().map(|m| m.name()).eq(MODULES.iter().copied()));
    }
}
