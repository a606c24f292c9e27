//! Requests to the tables of live state (spec `management-protocol.md` section 4).
//!
//! Requests come here only with a full type name and an operation in upper case.

use super::Agent;
use super::backend::Backend;
use super::failure::Status;
use super::message::{Request, Response};
use crate::entity::table::{Core, Table};
use crate::schema::EntityType;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::snapshot::Page;

/// An operation on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Query,
    Create,
    Read,
    Update,
    Delete,
}

/// Queries that name this many columns or more get all.
const MAX_COLUMNS: usize = 64;

/// The table and operation of a request that belongs here.
pub(super) fn route(request: &Request) -> Option<(&'static dyn Table, Operation)> {
    let name = request.text("entityType").or_else(|| request.text("type"))?;
    let table = EntityType::parse_full(name)?.kind().table()?;
    let operation = match request.text("operation")? {
        "QUERY" => Operation::Query,
        "CREATE" => Operation::Create,
        "READ" => Operation::Read,
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        _ => return None,
    };
    Some((table, operation))
}

// === impl Agent ===

impl<B: Backend> Agent<B> {
    pub(super) fn handle_core(&mut self, table: &dyn Table, operation: Operation, request: &Request) -> Response {
        let mut core = self.core();
        match operation {
            Operation::Query => query(table, &core, request),
            Operation::Read => table.read(&core, request),
            Operation::Create => table.create(&mut core, request),
            Operation::Update => table.update(&mut core, request),
            Operation::Delete => table.delete(&mut core, request),
        }
    }

    pub(crate) fn core(&mut self) -> Core<'_> {
        Core { backend: &mut self.backend, numbered: &mut self.numbered }
    }
}

fn query(table: &dyn Table, core: &Core<'_>, request: &Request) -> Response {
    let columns = table.columns();
    let place = |name: &str| columns.iter().position(|column| *column == name).unwrap_or(0);
    let wanted = request.body.as_map().and_then(|m| m.get("attributeNames")).and_then(Value::as_list);
    let wanted = wanted.filter(|w| !w.is_empty() && w.len() < MAX_COLUMNS);
    // What is not a name has no column; a name that is not known shows the first one.
    let places: Vec<Option<usize>> = match wanted {
        Some(wanted) => wanted.iter().map(|w| w.as_str().map(place)).collect(),
        None => (0..columns.len()).map(Some).collect(),
    };
    let names: Vec<Value> = places.iter().flatten().map(|&at| columns[at].into()).collect();
    let results = table.query(core, page(request), &places);
    Response::new(Status::Ok, Map::new().with("attributeNames", names).with("results", results))
}

fn page(request: &Request) -> Page {
    let count = match paging(request, "count") {
        Some(count) if count > 0 => usize::try_from(count).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    // A negative offset is beyond the end.
    let offset = usize::try_from(paging(request, "offset").unwrap_or(0)).unwrap_or(usize::MAX);
    Page { offset, count }
}

fn paging(request: &Request, key: &str) -> Option<i64> {
    let value = request.properties.get(key)?;
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}
