//! The policy and vhost entities: rules for the router.

use super::Runtime;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::params::{PolicyParams, vhost_rules};
use router_engine::log::{Level, LogModule};
use router_engine::policy::Policy;

// === impl Runtime ===

impl Runtime {
    /// The policy entity comes before all vhosts.
    pub(super) fn set_policy(&self, params: PolicyParams) -> Result<(), RouterError> {
        log_policy(&params);
        let policy = Policy::new(params.enable_vhost_policy, params.enable_vhost_name_patterns, params.default_vhost);
        self.engine()?.router.change_policy(|current| *current = policy);
        Ok(())
    }

    pub(super) fn put_vhost(&mut self, entity: &EntityConfig) -> Result<(), RouterError> {
        let rules = vhost_rules(entity)?;
        let name = rules.name().to_owned();
        let is_new = self.engine()?.router.change_policy(|policy| policy.put(rules));
        let done = if is_new.map_err(|error| RouterError::policy(error.to_string()))? { "Created" } else { "Updated" };
        router_engine::log!(LogModule::Policy, Level::Info, "{done} policy rules for vhost {name}");
        if !self.entities.vhosts.contains(&name) {
            self.entities.vhosts.push(name);
        }
        Ok(())
    }

    pub(super) fn remove_vhost(&self, entity: &EntityConfig) {
        let name = entity.attributes.text("hostname").unwrap_or_default();
        if let Some(router) = self.router() {
            router.change_policy(|policy| policy.remove(name));
        }
    }
}

fn log_policy(params: &PolicyParams) {
    router_engine::log!(
        LogModule::Policy,
        Level::Info,
        "Policy configured maxConnections: {}, policyDir: '{}',access rules enabled: '{}', use hostname patterns: '{}'",
        params.max_connections,
        params.policy_dir.as_deref().unwrap_or_default(),
        params.enable_vhost_policy,
        params.enable_vhost_name_patterns
    );
    let vhost = &params.default_vhost;
    router_engine::log!(LogModule::Policy, Level::Info, "Policy fallback defaultVhost is defined: '{vhost}'");
    if params.enable_vhost_policy {
        router_engine::log!(
            LogModule::Policy,
            Level::Error,
            "Of vhost policy only allowAdminStatusUpdate is enforced yet: connections, sessions, links and messages are \
             neither refused nor limited"
        );
    }
}
