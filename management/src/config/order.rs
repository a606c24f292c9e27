//! The order in which the entities of a file are created (spec `management-protocol.md` 7.3).

use super::{EntityConfig, load_policy_dir};
use crate::attributes::Attributes;
use crate::entity::OTHERS;
use crate::error::RouterError;
use crate::schema::EntityType;
use router_engine::log::LogModule;

/// Entities in the order of their creation, in two parts.
#[derive(Debug)]
pub struct BootPlan {
    /// Logs, the router and its network: what the core is made of.
    pub core: Vec<EntityConfig>,
    /// The rest, created once management is there.
    pub rest: Vec<EntityConfig>,
}

/// Rank of a type; entities of equal rank keep the order of the file.
fn rank(ty: EntityType) -> u8 {
    ty.kind().boot_rank().unwrap_or(OTHERS)
}

// === impl BootPlan ===

impl BootPlan {
    /// Orders the entities of a file, and adds those that a file need not mention: log modules, and
    /// the vhosts of the policy directory.
    ///
    /// # Errors
    /// When the policy directory cannot be read.
    pub fn new(entities: Vec<EntityConfig>) -> Result<Self, RouterError> {
        let mut core = creation_order(with_all_logs(entities));
        let mut rest = core.split_off(core.partition_point(|e| rank(e.ty) <= rank(EntityType::Network)));
        let policy = rest.iter().find(|e| e.ty == EntityType::Policy);
        if let Some(dir) = policy.and_then(|p| p.attributes.text("policyDir")).filter(|dir| !dir.is_empty()) {
            let vhosts = load_policy_dir(dir)?;
            // The last before the sockets.
            let at = rest.partition_point(|e| rank(e.ty) <= OTHERS);
            rest.splice(at..at, vhosts);
        }
        Ok(Self { core, rest })
    }

    /// Worker threads that the router entity asks for, at least one.
    #[must_use]
    pub fn worker_threads(&self) -> usize {
        /// No router does more with more threads than this.
        const MOST: usize = 1024;
        let router = self.core.iter().find(|e| e.ty == EntityType::Router);
        let asked = router.and_then(|r| r.attributes.number("workerThreads")).unwrap_or(1);
        usize::try_from(asked).unwrap_or(1).clamp(1, MOST)
    }
}

/// Sorts entities of a file into the order of their creation.
fn creation_order(mut entities: Vec<EntityConfig>) -> Vec<EntityConfig> {
    entities.sort_by_key(|e| rank(e.ty));
    entities
}

/// Every log module has an entity; the default module's says what holds when nothing is configured.
fn with_all_logs(mut entities: Vec<EntityConfig>) -> Vec<EntityConfig> {
    for module in LogModule::ALL {
        let is_module =
            |e: &EntityConfig| e.ty == EntityType::Log && e.attributes.text("module") == Some(module.name());
        let at = match entities.iter().position(is_module) {
            Some(at) => at,
            None => {
                let ty = EntityType::Log;
                let attributes = Attributes::new().with("type", ty.full()).with("module", module.name());
                entities.push(EntityConfig { ty, attributes });
                entities.len() - 1
            }
        };
        if module == LogModule::Default {
            let attributes = &mut entities[at].attributes;
            for (name, value) in [
                ("enable", "info+".into()),
                ("includeTimestamp", true.into()),
                ("includeSource", false.into()),
                ("outputFile", "stderr".into()),
            ] {
                if attributes.get(name).is_none() {
                    attributes.set(name, amqp_core::Value::clone(&value));
                }
            }
        }
    }
    entities
}
