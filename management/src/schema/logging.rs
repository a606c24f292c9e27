//! Log settings and statistics.

use super::attribute::{flag, gauge, one_of, text};
use super::entity_type::{EntityDef, EntityType};

/// Names of the log modules; a test holds them against [`router_engine::log::LogModule`].
pub(super) const MODULES: &[&str] = &[
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

pub(super) static LOG: EntityDef = EntityDef {
    name: "log",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["UPDATE"],
    description: "What a log module writes, and where.",
    attributes: &[
        one_of("module", MODULES, "The module; DEFAULT stands for what others leave open.").required(),
        text("enable", "Levels to write: names, with + for a level and all above; none; default.").update(),
        flag("includeTimestamp", "Begin lines with the time.").update(),
        flag("includeSource", "End lines with the place in the source.").update(),
        text("outputFile", "stdout, stderr, syslog, or a file to append to.").update(),
    ],
};

pub(super) static LOG_STATS: EntityDef = EntityDef {
    name: "logStats",
    extends: Some(EntityType::OperationalEntity),
    singleton: false,
    referential: false,
    operations: &[],
    description: "How many events a log module saw, written or not.",
    attributes: &[
        gauge("debugCount", "Events at level debug."),
        gauge("infoCount", "Events at level info."),
        gauge("noticeCount", "Always absent."),
        gauge("warningCount", "Events at level warning."),
        gauge("errorCount", "Events at level error."),
        gauge("criticalCount", "Events at level critical."),
    ],
};
