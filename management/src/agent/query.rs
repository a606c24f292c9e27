//! QUERY over the entities that the agent keeps.

use super::Agent;
use super::backend::Backend;
use super::failure::{Failure, Status};
use super::general::{no_method, parse_type};
use super::message::{Request, Response};
use crate::notation::Literal;
use crate::schema::EntityType;
use amqp_core::Value;
use amqp_core::value::Map;

/// The longest list of attribute names that is read. The schema has far fewer.
const MAX_NAMES: usize = 1024;

// === impl Agent ===

impl<B: Backend> Agent<B> {
    pub(super) fn query(&self, request: &Request) -> Result<Response, Failure> {
        let ty = request.text("entityType").map(parse_type).transpose()?;
        let Value::Map(body) = &request.body else { return Err(no_method(&request.body, "get")) };
        let known = known_columns(ty);
        let columns = wanted_columns(body, &known, ty)?;
        let mut results = Vec::new();
        for entity in self.store.iter().filter(|e| ty.is_none_or(|ty| e.ty.is_a(ty))) {
            let attributes = self.view(entity);
            let row: Vec<Value> = columns.iter().map(|c| attributes.get(c).cloned().unwrap_or_default()).collect();
            if row.iter().any(|v| !v.is_null()) {
                results.push(Value::List(row));
            }
        }
        let names: Vec<Value> = columns.into_iter().map(Value::from).collect();
        Ok(Response::new(Status::Ok, Map::new().with("attributeNames", names).with("results", results)))
    }
}

/// All columns of a type; of all types when none is given.
fn known_columns(ty: Option<EntityType>) -> Vec<&'static str> {
    if let Some(ty) = ty {
        return ty.attributes().map(|a| a.name).collect();
    }
    let mut names: Vec<_> = EntityType::ALL.iter().flat_map(|t| t.attributes()).map(|a| a.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The columns that a request names, as often as it names them.
fn wanted_columns(body: &Map, known: &[&'static str], ty: Option<EntityType>) -> Result<Vec<&'static str>, Failure> {
    let wanted = body.get("attributeNames").and_then(Value::as_list).unwrap_or_default();
    if wanted.is_empty() {
        return Ok(known.to_vec());
    }
    if wanted.len() > MAX_NAMES {
        return Err(Failure::bad_request(format!("More than {MAX_NAMES} attribute names")));
    }
    let (mut columns, mut unknown) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match known.iter().find(|known| wanted.as_str() == Some(known)) {
            Some(column) => columns.push(*column),
            None => unknown.push(wanted.clone()),
        }
    }
    if unknown.is_empty() {
        return Ok(columns);
    }
    let of_type = ty.map(|ty| format!(" for type {ty}")).unwrap_or_default();
    Err(Failure::not_found(format!("Unknown attributes {}{of_type}.", Literal(&Value::List(unknown)))))
}
