//! READ, CREATE, UPDATE and DELETE of entities that the agent keeps (spec
//! `management-protocol.md` section 3).

use super::Agent;
use super::backend::Backend;
use super::failure::{Failure, Status};
use super::message::{Request, Response, incoming, incoming_map};
use crate::attributes::Attributes;
use crate::config::{self, EntityConfig};
use crate::notation::{LiveEntity, MapLiteral, Names, RawEntity};
use crate::schema::{Attribute, EntityType, validate};
use amqp_core::Value;
use amqp_core::value::Map;

// === impl Agent ===

impl<B: Backend> Agent<B> {
    pub(super) fn handle_general(&mut self, request: &Request) -> Result<Response, Failure> {
        self.refresh();
        let Some(operation) = request.text("operation") else {
            return Err(Failure::bad_request(format!("No 'operation' property: {}", request.describe())));
        };
        let upper = operation.to_ascii_uppercase();
        if upper == "CREATE" {
            return self.create(request);
        }
        let target = self.find_target(request)?;
        let entity = self.store.get(target);
        check_offered(entity.ty, &upper)?;
        match upper.as_str() {
            "READ" => self.read(target, request),
            "UPDATE" => self.update(target, request),
            "DELETE" => self.delete(target),
            "CALLME" => Ok(Response::new(Status::Ok, incoming_map(&request.properties))),
            _ if entity.ty == EntityType::Management => self.handle_management(&upper, request),
            _ => Err(Failure::not_implemented(format!("Operation '{operation}' not implemented on {}", entity.ty))),
        }
    }

    /// The entity that a request is about.
    fn find_target(&self, request: &Request) -> Result<usize, Failure> {
        let ty = match request.text("type") {
            Some(name) => Some(parse_type(name)?),
            None => None,
        };
        let keys: Vec<(&str, &str)> =
            ["name", "identity"].into_iter().filter_map(|k| Some((k, request.text(k)?))).collect();
        let Some(&(key, value)) = keys.first() else {
            return match ty {
                Some(ty) if !EntityType::Management.is_a(ty) => {
                    Err(Failure::bad_request(format!("{ty}: No name or identity provided")))
                }
                _ => self.require("name", "self", &[]),
            };
        };
        let target = self.require(key, value, &keys)?;
        let entity = self.store.get(target);
        for &(key, value) in &keys {
            if entity.attributes.text(key) != Some(value) {
                return Err(Failure::bad_request(format!("Conflicting {}", key_list(&keys))));
            }
        }
        match ty {
            Some(ty) if !entity.ty.is_a(ty) => {
                Err(Failure::bad_request(format!("Entity type '{}' does not extend requested type '{ty}'", entity.ty)))
            }
            _ => Ok(target),
        }
    }

    fn require(&self, key: &str, value: &str, keys: &[(&str, &str)]) -> Result<usize, Failure> {
        let found = self.store.find(key, value)?;
        found.ok_or_else(|| Failure::not_found(format!("No entity with {}", key_list(keys))))
    }

    /// All attributes of an entity, live ones included.
    pub(super) fn view(&self, entity: &EntityConfig) -> Attributes {
        let mut attributes = entity.attributes.clone();
        for (name, value) in self.backend.live(entity) {
            attributes.set(name, value);
        }
        attributes
    }

    fn read(&self, target: usize, request: &Request) -> Result<Response, Failure> {
        let entity = self.store.get(target);
        match request.text("type").and_then(EntityType::parse) {
            Some(ty) if ty != entity.ty => {
                Err(Failure::not_found(format!("Entity type '{}' does match requested type '{ty}'", entity.ty)))
            }
            _ => Ok(Response::new(Status::Ok, self.view(entity).into_map())),
        }
    }

    fn create(&mut self, request: &Request) -> Result<Response, Failure> {
        let Value::Map(body) = incoming(&request.body) else { return Err(no_method(&request.body, "setdefault")) };
        for key in ["type", "name"] {
            let in_body = text_entries(&body).rfind(|(k, v)| *k == key && !v.is_null());
            if request.text(key).is_some_and(|p| in_body.is_some_and(|(_, v)| v.as_str() != Some(p))) {
                return Err(Failure::bad_request(format!("Conflicting values for '{key}'")));
            }
        }
        let Some(ty) = request.text("type") else {
            let shown: Map = text_entries(&body).filter(|(k, _)| *k != "type").map(|(k, v)| (k, v.clone())).collect();
            let shown = shown.with("type", Value::Null);
            return Err(Failure::bad_request(format!("No 'type' attribute in {}", MapLiteral(&shown))));
        };
        let ty = parse_type(ty)?;
        check_offered(ty, "CREATE")?;
        let mut given = Attributes::new();
        for (name, value) in text_entries(&body) {
            given.set(validate::creatable(ty, name)?.name, value.clone());
        }
        given.set("type", ty.full());
        given.set("name", request.properties.get("name").cloned().unwrap_or_default());
        // That a router of this mode may have no such entity at all comes before what is wrong with its attributes.
        let misplaced = |error| {
            let show = || LiveEntity(ty, &given).to_string();
            ty.kind().misplaced(&given, self.mode(), &show).map_or_else(|| Failure::from(error), Failure::from)
        };
        let attributes = validate::complete(ty, given.clone()).map_err(misplaced)?;
        let entity = EntityConfig { ty, attributes };
        let index = match ty.kind().copied() {
            Some(kind) => self.add_copy(kind, entity)?,
            None => self.add(entity)?,
        };
        Ok(Response::new(Status::Created, self.view(self.store.get(index)).into_map()))
    }

    /// Names, checks, makes and keeps a new entity. Returns its place.
    pub(super) fn add(&mut self, mut entity: EntityConfig) -> Result<usize, Failure> {
        let ty = entity.ty;
        if entity.attributes.get("identity").is_some() {
            let text = format!("'identity' attribute cannot be specified {}", RawEntity(ty, &entity.attributes));
            return Err(Failure::bad_request(text));
        }
        self.store.assign_names(ty, &mut entity.attributes);
        let existing = self.store.iter().map(|e| (e.ty, &e.attributes));
        config::check_singletons_and_names((ty, &entity.attributes), existing)?;
        let show = || LiveEntity(ty, &entity.attributes).to_string();
        if let Some(error) = ty.kind().misplaced(&entity.attributes, self.mode(), &show) {
            return Err(error.into());
        }
        ty.kind().check(&entity.attributes)?;
        self.backend.create(&entity)?;
        Ok(self.store.push(entity))
    }

    fn mode(&self) -> &str {
        let router = self.store.of_type(EntityType::Router).next();
        // Before the router entity is there nothing that depends on the mode is created.
        router.and_then(|r| r.attributes.text("mode")).unwrap_or("interior")
    }

    fn update(&mut self, target: usize, request: &Request) -> Result<Response, Failure> {
        let Value::Map(body) = incoming(&request.body) else { return Err(no_method(&request.body, "items")) };
        let entity = self.store.get(target);
        let ty = entity.ty;
        let present = self.view(entity);
        let mut merged = entity.attributes.clone();
        for (name, value) in text_entries(&body) {
            let attribute = known_attribute(ty, name)?;
            if attribute.update {
                merged.set(attribute.name, value.clone());
            } else if present.get(name).unwrap_or(&Value::Null) != value {
                return Err(Failure::validation(format!("Cannot update attribute '{name}' in UPDATE")));
            }
        }
        let entity = EntityConfig { ty, attributes: validate::complete(ty, merged)? };
        // Kept only once it is in force.
        self.backend.update(&entity)?;
        self.store.replace(target, entity.attributes.clone());
        Ok(Response::new(Status::Ok, self.view(&entity).into_map()))
    }

    fn delete(&mut self, target: usize) -> Result<Response, Failure> {
        let entity = self.store.get(target).clone();
        if entity.ty.kind().copied().is_none() {
            self.backend.delete(&entity)?;
        }
        self.store.remove(target);
        Ok(Response::new(Status::NoContent, Map::new()))
    }
}

pub(super) fn parse_type(name: &str) -> Result<EntityType, Failure> {
    EntityType::parse(name).ok_or_else(|| Failure::validation(format!("No such entity type '{name}'")))
}

fn check_offered(ty: EntityType, operation: &str) -> Result<(), Failure> {
    if ty.offers(operation) {
        return Ok(());
    }
    Err(Failure::not_implemented(format!(
        "Operation '{operation}' not implemented for '{ty}' {}",
        Names(ty.operations())
    )))
}

fn key_list(keys: &[(&str, &str)]) -> String {
    keys.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// A body that is not a map does not have what maps have.
pub(super) fn no_method(body: &Value, method: &str) -> Failure {
    let kind = match body {
        Value::Null => "NoneType",
        Value::List(_) => "list",
        Value::Binary(_) => "bytes",
        Value::Bool(_) => "bool",
        other if other.as_str().is_some() => "str",
        other if other.as_i64().is_some() => "int",
        _ => "NoneType",
    };
    Failure::internal("AttributeError", format!("'{kind}' object has no attribute '{method}'"))
}

/// The entries of a map whose keys are text.
fn text_entries(map: &Map) -> impl DoubleEndedIterator<Item = (&str, &Value)> {
    map.0.iter().filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// The attribute of that name.
fn known_attribute(ty: EntityType, name: &str) -> Result<&'static Attribute, Failure> {
    Ok(ty.attribute(name).ok_or_else(|| validate::unknown_attribute(ty, name))?)
}
