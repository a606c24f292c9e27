//! The entities that the agent keeps.

use super::failure::{Failure, Status};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::schema::EntityType;
use amqp_core::Value;
use std::collections::HashMap;

/// Entities in the order in which they came to be.
#[derive(Debug, Default)]
pub(super) struct Store {
    entities: Vec<EntityConfig>,
    counters: HashMap<EntityType, u64>,
}

// === impl Store ===

impl Store {
    pub(super) fn iter(&self) -> impl Iterator<Item = &EntityConfig> {
        self.entities.iter()
    }

    pub(super) fn of_type(&self, ty: EntityType) -> impl Iterator<Item = &EntityConfig> {
        self.entities.iter().filter(move |e| e.ty == ty)
    }

    pub(super) fn push(&mut self, entity: EntityConfig) {
        self.entities.push(entity);
    }

    pub(super) fn get(&self, index: usize) -> &EntityConfig {
        &self.entities[index]
    }

    pub(super) fn replace(&mut self, index: usize, attributes: Attributes) {
        self.entities[index].attributes = attributes;
    }

    pub(super) fn remove(&mut self, index: usize) -> EntityConfig {
        self.entities.remove(index)
    }

    /// The one entity whose attribute has that value.
    pub(super) fn find(&self, key: &str, value: &str) -> Result<Option<usize>, Failure> {
        let matches = |e: &EntityConfig| e.attributes.text(key) == Some(value);
        let mut found = self.entities.iter().enumerate().filter(|(_, e)| matches(e)).map(|(i, _)| i);
        let first = found.next();
        match found.count() {
            0 => Ok(first),
            more => Err(Failure {
                status: Status::InternalError,
                class: "InternalServerErrorStatus",
                text: format!("Duplicate ({}) entities with {key}={value}", more + 1),
            }),
        }
    }

    /// Sets identity, and name when there is none. What the identity is made of must be there.
    pub(super) fn assign_names(&mut self, ty: EntityType, attributes: &mut Attributes) {
        let identity = if ty == EntityType::Management {
            "self".to_owned()
        } else {
            format!("{}/{}", ty.identity_prefix(), self.own_id(ty, attributes))
        };
        attributes.set("identity", identity.as_str());
        if attributes.get("name").is_none() {
            let name = if ty == EntityType::LogStats { identity.trim_start_matches("logStats/") } else { &identity };
            attributes.set("name", name);
        }
    }

    /// What identities consist of behind the type (spec `management-protocol.md` 3.7).
    fn own_id(&mut self, ty: EntityType, a: &Attributes) -> String {
        let text = |key: &str| a.text(key).unwrap_or("None").to_owned();
        let named = |head: String| match a.text("name") {
            Some(name) => format!("{head}:{name}"),
            None => head,
        };
        match ty {
            EntityType::Listener | EntityType::Connector | EntityType::TcpListener | EntityType::TcpConnector => {
                named(format!("{}:{}", text("host"), text("port")))
            }
            EntityType::ListenerAddress => named(format!("{}:{}", text("listener"), text("address"))),
            EntityType::Log | EntityType::LogStats => text("module"),
            EntityType::Router | EntityType::Node => text("id"),
            EntityType::Policy | EntityType::Site => "None".to_owned(),
            EntityType::SslProfile | EntityType::ProxyProfile => text("name"),
            EntityType::Vhost | EntityType::VhostStats => text("hostname"),
            EntityType::Allocator => text("typeName"),
            _ => {
                let next = self.counters.entry(ty).or_default();
                let id = *next;
                *next += 1;
                id.to_string()
            }
        }
    }

    /// Makes the entities of a type be those of `rows`: present ones are updated in their place.
    pub(super) fn sync(&mut self, ty: EntityType, rows: Vec<Attributes>) {
        let mut fresh: Vec<Attributes> = rows
            .into_iter()
            .map(|row| {
                let mut attributes = Attributes::new().with("type", ty.full());
                for (name, value) in row {
                    attributes.set(name, value);
                }
                self.assign_names(ty, &mut attributes);
                // Only needed for the identity.
                if ty == EntityType::LogStats {
                    attributes.remove("module");
                }
                attributes
            })
            .collect();
        self.entities.retain_mut(|entity| {
            if entity.ty != ty {
                return true;
            }
            let identity = entity.attributes.get("identity").cloned().unwrap_or(Value::Null);
            let Some(at) = fresh.iter().position(|a| a.get("identity") == Some(&identity)) else { return false };
            entity.attributes = fresh.remove(at);
            true
        });
        self.entities.extend(fresh.into_iter().map(|attributes| EntityConfig { ty, attributes }));
    }
}
