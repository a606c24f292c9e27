//! `vhost`: policy of one virtual host.

pub(super) mod group;
mod hosts;
mod rules;

#[cfg(test)]
mod tests;

use super::EntityKind;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::schema::attribute::{flag, map, number, text};
use crate::schema::{EntityDef, Identity, Origin};
use router_engine::log::{Level, LogModule};

pub(super) static DEF: EntityDef = EntityDef {
    name: "vhost",
    operations: &["CREATE", "UPDATE", "DELETE"],
    identity: Identity::Attribute("hostname"),
    origin: Origin::Configured { rank: 7 },
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
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        put(runtime, entity)
    }

    fn update(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        put(runtime, entity)
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let name = entity.attributes.text("hostname").unwrap_or_default();
        if let Some(router) = runtime.router() {
            router.change_policy(|policy| policy.remove(name));
        }
        Ok(())
    }
}

fn put(runtime: &Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
    let rules = rules::read(&entity.attributes)?;
    let name = rules.name().to_owned();
    let is_new = runtime.engine()?.router.change_policy(|policy| policy.put(rules));
    let done = if is_new.map_err(|error| RouterError::policy(error.to_string()))? { "Created" } else { "Updated" };
    router_engine::log!(LogModule::Policy, Level::Info, "{done} policy rules for vhost {name}");
    Ok(())
}
