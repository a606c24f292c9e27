//! `policy`: policy of the router as a whole.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::{Runtime, now};
use crate::schema::attribute::{flag, gauge, number, path, text};
use crate::schema::{EntityDef, Identity, Origin};
use router_engine::log::{Level, LogModule};
use router_engine::policy::Policy;

pub(super) static DEF: EntityDef = EntityDef {
    name: "policy",
    singleton: true,
    identity: Identity::None,
    origin: Origin::Configured { rank: 3 },
    description: "Policy of the router as a whole.",
    attributes: &[
        // Limits are not enforced yet: the first is logged, the second is not read.
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

/// Live attributes, of the number of open connections. Policy refuses and counts nothing yet.
const COLUMNS: &[Column<u64>] = &[
    ("connectionsProcessed", |connections| counter(*connections)),
    ("connectionsDenied", |_| counter(0)),
    ("connectionsCurrent", |connections| counter(*connections)),
    ("linksDenied", |_| counter(0)),
    ("maxMessageSizeDenied", |_| counter(0)),
    ("totalDenials", |_| counter(0)),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    /// It comes before all vhosts.
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let a = &entity.attributes;
        log_policy(a);
        let [enabled, patterns] = ["enableVhostPolicy", "enableVhostNamePatterns"].map(|name| a.flag(name));
        let policy = Policy::new(enabled, patterns, a.string("defaultVhost"));
        runtime.engine()?.router.change_policy(|current| *current = policy);
        Ok(())
    }

    fn live(&self, runtime: &Runtime, _: &EntityConfig) -> Attributes {
        column::shown(COLUMNS, &runtime.router().map_or(0, |router| router.router_row(now()).connections as u64))
    }
}

fn log_policy(a: &Attributes) {
    let say = |level, text: &str| router_engine::log!(LogModule::Policy, level, "{text}");
    let policy_enabled = a.flag("enableVhostPolicy");
    say(
        Level::Info,
        &format!(
            "Policy configured maxConnections: {}, policyDir: '{}',access rules enabled: '{policy_enabled}', use hostname \
             patterns: '{}'",
            a.count("maxConnections"),
            a.text("policyDir").unwrap_or_default(),
            a.flag("enableVhostNamePatterns")
        ),
    );
    let vhost = a.text("defaultVhost").unwrap_or_default();
    say(Level::Info, &format!("Policy fallback defaultVhost is defined: '{vhost}'"));
    if policy_enabled {
        say(
            Level::Error,
            "Of vhost policy only allowAdminStatusUpdate is enforced yet: connections, sessions, links and messages are \
             neither refused nor limited",
        );
    }
}
