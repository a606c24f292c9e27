//! `policy`: policy of the router as a whole.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::schema::attribute::{flag, gauge, number, path, text};
use crate::schema::{EntityDef, Identity, Origin};
use router_engine::log::{Level, LogModule};
use router_engine::policy::{Policy, TotalFigures};

pub(super) static DEF: EntityDef = EntityDef {
    name: "policy",
    singleton: true,
    identity: Identity::None,
    origin: Origin::Configured { rank: 3 },
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

/// Live attributes.
const COLUMNS: &[Column<TotalFigures>] = &[
    ("connectionsProcessed", |totals| counter(totals.processed)),
    ("connectionsDenied", |totals| counter(totals.refused)),
    ("connectionsCurrent", |totals| counter(totals.current)),
    ("linksDenied", |totals| counter(totals.links_denied)),
    ("maxMessageSizeDenied", |totals| counter(totals.messages_denied)),
    ("totalDenials", |totals| counter(totals.denials)),
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
        let policy = policy.with_max_message_size(a.count("maxMessageSize"));
        let router = &runtime.engine()?.router;
        router.change_policy(|current| *current = policy);
        router.policy_totals().limit_connections(a.count("maxConnections"));
        Ok(())
    }

    fn live(&self, runtime: &Runtime, _: &EntityConfig) -> Attributes {
        let totals = runtime.router().map(|router| router.policy_totals().figures());
        column::shown(COLUMNS, &totals.unwrap_or_default())
    }
}

fn log_policy(a: &Attributes) {
    let say = |level, text: &str| router_engine::log!(LogModule::Policy, level, "{text}");
    let policy_enabled = a.flag("enableVhostPolicy");
    say(Level::Debug, "Policy Initialized");
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
}
