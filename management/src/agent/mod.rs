//! The management agent: requests in, replies out, over a [`Backend`].
//!
//! ```text
//!  node (task) --Request--> Agent --+-- core tables: connection, link, address, routerMetrics, ...
//!                                   +-- entities:    configuration, log, nodes, statistics
//!                                        |
//!                                     Backend: the router
//! ```
//!
//! Two kinds of entities are served with different manners, as clients expect (spec
//! `management-protocol.md` section 1): see modules `core_agent` and `general`.

mod backend;
mod core_agent;
mod core_config;
mod failure;
mod general;
mod listing;
mod message;
pub mod node;
mod query;
mod reload;
mod store;
pub mod thread;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

pub use backend::Backend;
pub use failure::{Failure, Status};
pub use message::{Request, Response};
pub use reload::Reloaded;

use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::entity::numbered::Numbered;
use crate::error::RouterError;
use crate::schema::{EntityType, Origin};
use router_engine::log::{Level, LogModule};
use std::collections::BTreeSet;
use store::Store;

/// The agent of one router.
pub struct Agent<B> {
    backend: B,
    store: Store,
    numbered: Numbered,
    profiling: bool,
    /// What the configuration file said.
    file: Vec<FileEntity>,
}

/// An entity of the configuration file.
#[derive(Debug, Clone, PartialEq)]
struct FileEntity {
    /// As the file has it.
    given: EntityConfig,
    /// Of the entity that was made of it.
    identity: String,
}

// === impl Agent ===

impl<B: Backend> Agent<B> {
    /// An agent that knows only the management entity.
    pub fn new(backend: B) -> Self {
        let mut store = Store::default();
        let mut attributes = Attributes::new();
        store.assign_names(EntityType::Management, &mut attributes);
        attributes.set("type", EntityType::Management.full());
        store.push(EntityConfig { ty: EntityType::Management, attributes });
        Self { backend, store, numbered: Numbered::default(), profiling: false, file: Vec::new() }
    }

    /// The router behind the agent.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Creates entities of a configuration file, in order.
    ///
    /// # Errors
    /// What the first entity that cannot be created is refused for.
    pub fn load_all(&mut self, entities: Vec<EntityConfig>) -> Result<(), RouterError> {
        for given in entities {
            self.load(given.clone()).map_err(|failure| RouterError::python(failure.with_class()))?;
            let identity = self.store.iter().last().map_or_else(String::new, |made| made.identity().to_owned());
            self.file.push(FileEntity { given, identity });
        }
        Ok(())
    }

    /// Creates an entity of a configuration file.
    ///
    /// # Errors
    /// When it does not fit those that exist, or a subsystem refuses it.
    pub fn load(&mut self, entity: EntityConfig) -> Result<(), Failure> {
        let kind = entity.ty.kind();
        if let Some(kind) = kind.copied() {
            return self.load_copy(kind, entity);
        }
        if !matches!(entity.ty.def().origin, Origin::Configured { .. }) {
            let text = format!("Can't find implementation '{}' for '{}'", class_name(entity.ty), entity.ty);
            return Err(Failure::internal("InternalServerErrorStatus", text));
        }
        self.add(entity).map(drop)
    }

    /// Answers a request. `None`: it gets no answer.
    pub fn handle(&mut self, request: &Request) -> Option<Response> {
        router_engine::log!(LogModule::Agent, Level::Debug, "Management request {}", request.describe());
        if let Some((table, operation)) = core_agent::route(request) {
            return Some(self.handle_core(table, operation, request));
        }
        self.handle_internal(request)
    }

    /// Answers a request to the general agent, which knows no live tables.
    pub fn handle_internal(&mut self, request: &Request) -> Option<Response> {
        request.reply_to.as_ref()?;
        let operation = request.text("operation").unwrap_or_default();
        let response = self.handle_general(request).unwrap_or_else(|failure| {
            router_engine::log!(
                LogModule::Agent,
                Level::Error,
                "Error performing {operation}: {}",
                failure.description()
            );
            failure.into()
        });
        Some(Response { body: message::outgoing(response.body), ..response })
    }

    /// Brings the entities that come and go by themselves up to date.
    pub fn refresh(&mut self) {
        let reported = EntityType::ALL.iter().filter_map(|&ty| match ty.def().origin {
            Origin::Reported { rank } => Some((rank, ty)),
            _ => None,
        });
        for (_, ty) in reported.collect::<BTreeSet<_>>() {
            self.store.sync(ty, self.backend.instances(ty));
        }
    }
}

/// What the implementation of a type would be called.
fn class_name(ty: EntityType) -> String {
    let live = crate::notation::LiveEntity(ty, &Attributes::new()).to_string();
    live.trim_end_matches("()").to_owned()
}
