//! Management: schema, configuration files, logging, and the management agent.
//!
//! `entity` has a room for each kind of entity; [`schema`] is the one table of them that the rest derives from.
//! [`config`] turns a file into validated entities, [`runtime`] is what these stand for, [`agent`] answers management
//! requests, and [`log`] writes what the lower crates log through [`mod@router_engine::log`].

pub mod agent;
pub mod attributes;
pub mod config;
mod entity;
pub mod error;
mod figures;
mod http;
pub mod log;
pub mod memory;
pub mod notation;
pub mod otlp;
pub mod runtime;
pub mod schema;
pub mod test_hooks;
pub mod vanflow;

pub use attributes::Attributes;
pub use config::EntityConfig;
pub use error::{ErrorClass, RouterError};
pub use schema::EntityType;
