//! The copies that the agent keeps of what the core has numbers for: see [`crate::entity::numbered`].

use super::Agent;
use super::backend::Backend;
use super::failure::Failure;
use crate::config::EntityConfig;
use crate::entity::numbered::Copied;

// === impl Agent ===

impl<B: Backend> Agent<B> {
    /// An entity of a configuration file. The copy is kept of one that makes no sense, too.
    pub(super) fn load_copy(&mut self, kind: &dyn Copied, mut entity: EntityConfig) -> Result<(), Failure> {
        self.store.assign_names(entity.ty, &mut entity.attributes);
        kind.load(&entity.attributes, &mut self.core());
        self.check_copy(&entity)?;
        self.store.push(entity);
        Ok(())
    }

    /// An entity created with a short type name: it and its copy, or neither.
    pub(super) fn add_copy(&mut self, kind: &dyn Copied, mut entity: EntityConfig) -> Result<usize, Failure> {
        let name = entity.attributes.owned("name");
        self.store.assign_names(entity.ty, &mut entity.attributes);
        self.check_copy(&entity)?;
        kind.add(name.as_deref(), &entity.attributes.clone().into_map(), &mut self.core())?;
        Ok(self.store.push(entity))
    }

    fn check_copy(&self, entity: &EntityConfig) -> Result<(), Failure> {
        let existing = self.store.iter().map(|e| (e.ty, &e.attributes));
        Ok(crate::config::check_singletons_and_names((entity.ty, &entity.attributes), existing)?)
    }
}
