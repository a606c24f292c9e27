//! Operations on the management entity.

use super::Agent;
use super::backend::Backend;
use super::failure::{Failure, Status};
use super::general::parse_type;
use super::message::{Request, Response};
use crate::notation::Quoted;
use crate::schema::validate::parse_integer;
use crate::schema::{EntityType, dump};
use amqp_core::Value;
use amqp_core::value::Map;

// === impl Agent ===

impl<B: Backend> Agent<B> {
    pub(super) fn handle_management(&mut self, operation: &str, request: &Request) -> Result<Response, Failure> {
        let body = match operation {
            "QUERY" => return self.query(request),
            "GET-TYPES" => get_types(request)?.into(),
            "GET-OPERATIONS" => by_type(request, |ty| ty.operations().map(Value::from).collect())?.into(),
            "GET-ATTRIBUTES" => by_type(request, |ty| ty.attributes().map(|a| a.name.into()).collect())?.into(),
            "GET-ANNOTATIONS" => Map::new().into(),
            "GET-MGMT-NODES" => self.management_nodes().into(),
            "GET-SCHEMA" => dump::schema().into(),
            "GET-JSON-SCHEMA" => {
                let indent = number(request, "indent")?.map(|n| usize::try_from(n).unwrap_or(0).min(80));
                dump::schema_json(indent).into()
            }
            "GET-LOG" => recent_log(number(request, "limit")?.unwrap_or(0)).into(),
            "PROFILE" => self.profile(request)?,
            _ => {
                return Err(Failure::not_implemented(format!(
                    "Operation '{operation}' not implemented on {}",
                    EntityType::Management
                )));
            }
        };
        Ok(Response::new(Status::Ok, body))
    }

    fn management_nodes(&self) -> Vec<Value> {
        let ids = self.store.of_type(EntityType::Node).filter_map(|node| node.attributes.text("id"));
        ids.map(|id| format!("amqp:/_topo/0/{id}/$management").into()).collect()
    }

    /// There is no profiler inside; the operation keeps the manners of one.
    fn profile(&mut self, request: &Request) -> Result<Value, Failure> {
        if request.properties.get("start").is_some() {
            self.profiling = true;
            return Ok(Map::new().into());
        }
        if !self.profiling {
            return Err(Failure::bad_request("Profiler not started"));
        }
        if request.properties.get("stop").is_none() {
            return Err(Failure::bad_request(format!("Bad profile request {}", request.describe())));
        }
        self.profiling = false;
        Ok("This router has no profiler of its own: use one of the operating system.".into())
    }
}

fn get_types(request: &Request) -> Result<Map, Failure> {
    let base = request.text("entityType").map(parse_type).transpose()?;
    let types = EntityType::ALL.iter().filter(|t| base.is_none_or(|base| t.is_a(base)));
    Ok(types.map(|t| (t.full(), t.bases().map(|b| Value::from(b.full())).collect::<Vec<_>>())).collect())
}

fn by_type(request: &Request, list: impl Fn(EntityType) -> Vec<Value>) -> Result<Map, Failure> {
    let only = request.text("entityType").map(parse_type).transpose()?;
    let types = EntityType::ALL.iter().copied().filter(|t| only.is_none_or(|only| *t == only));
    Ok(types.map(|t| (t.full(), list(t))).collect())
}

/// A number among the application properties, given as one or as text.
fn number(request: &Request, key: &str) -> Result<Option<i64>, Failure> {
    let Some(value) = request.properties.get(key).filter(|v| !v.is_null()) else { return Ok(None) };
    let number = value.as_i64().or_else(|| parse_integer(value.as_str()?));
    number.map(Some).ok_or_else(|| {
        let text = value.as_str().unwrap_or_default();
        Failure::internal("ValueError", format!("invalid literal for int() with base 10: {}", Quoted(text)))
    })
}

fn recent_log(limit: i64) -> Vec<Value> {
    let entries = crate::log::logger().recent(usize::try_from(limit).unwrap_or(0));
    let row = |e: crate::log::Entry| {
        let fields: Vec<Value> = vec![
            e.module.name().into(),
            e.level.name().into(),
            e.text.into(),
            e.file.into(),
            i64::from(e.line).into(),
            e.seconds.into(),
        ];
        fields.into()
    };
    entries.into_iter().map(row).collect()
}
