//! The order in which the entities of a file are created (spec `management-protocol.md` 7.3).

use super::{EntityConfig, load_policy_dir};
use crate::entity::{log, router};
use crate::error::RouterError;
use crate::schema::{EntityType, OTHERS, Origin};

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
    match ty.def().origin {
        Origin::Configured { rank } => rank,
        Origin::None | Origin::Reported { .. } => OTHERS,
    }
}

// === impl BootPlan ===

impl BootPlan {
    /// Orders the entities of a file, and adds those that a file need not mention: log modules, and
    /// the vhosts of the policy directory.
    ///
    /// # Errors
    /// When the policy directory cannot be read.
    pub fn new(entities: Vec<EntityConfig>) -> Result<Self, RouterError> {
        let mut core = creation_order(log::with_all_modules(entities));
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
        let router = self.core.iter().find(|e| e.ty == EntityType::Router);
        router.map_or(1, |r| router::worker_threads(&r.attributes))
    }
}

/// Sorts entities of a file into the order of their creation.
fn creation_order(mut entities: Vec<EntityConfig>) -> Vec<EntityConfig> {
    entities.sort_by_key(|e| rank(e.ty));
    entities
}
