//! Tables of live state: links, addresses, connections, totals, and the address and auto-link
//! configuration (spec `management-protocol.md` section 4).
//!
//! Requests come here only with a full type name and an operation in upper case. Columns, their
//! order and their types on the wire differ from the schema's: they are those of [`core_rows`].

use super::Agent;
use super::backend::Backend;
use super::core_rows::{self, Row};
use super::failure::{Failure, Status};
use super::message::{Request, Response};
use crate::schema::{EntityType, validate};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::connection::ConnectionRole;
use router_engine::core::snapshot::{ConnectionRow, LinkKey, Page};
use router_engine::log::{Level, LogModule};

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Metrics,
    Address,
    Link,
    Connection,
    ConfigAddress,
    AutoLink,
}

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

const NOT_ALLOWED: &str = "You are not allowed to perform this operation.";

/// The table and operation of a request that belongs here.
pub(super) fn route(request: &Request) -> Option<(Table, Operation)> {
    let name = request.text("entityType").or_else(|| request.text("type"))?;
    let table = match EntityType::parse_full(name)? {
        EntityType::RouterMetrics => Table::Metrics,
        EntityType::Address => Table::Address,
        EntityType::Link => Table::Link,
        EntityType::Connection => Table::Connection,
        EntityType::ConfigAddress => Table::ConfigAddress,
        EntityType::AutoLink => Table::AutoLink,
        _ => return None,
    };
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

// === impl Table ===

impl Table {
    pub(super) const fn entity_type(self) -> EntityType {
        match self {
            Self::Metrics => EntityType::RouterMetrics,
            Self::Address => EntityType::Address,
            Self::Link => EntityType::Link,
            Self::Connection => EntityType::Connection,
            Self::ConfigAddress => EntityType::ConfigAddress,
            Self::AutoLink => EntityType::AutoLink,
        }
    }

    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Metrics => core_rows::METRICS,
            Self::Address => core_rows::ADDRESS,
            Self::Link => core_rows::LINK,
            Self::Connection => core_rows::CONNECTION,
            Self::ConfigAddress => core_rows::CONFIG_ADDRESS,
            Self::AutoLink => core_rows::AUTO_LINK,
        }
    }

    /// The place of a column.
    fn column(self, name: &str) -> Option<usize> {
        self.columns().iter().position(|c| *c == name)
    }

    /// A row as a map.
    pub(super) fn map(self, row: Row) -> Map {
        self.columns().iter().copied().zip(row).collect()
    }
}

// === impl Agent ===

impl<B: Backend> Agent<B> {
    pub(super) fn handle_core(&mut self, table: Table, operation: Operation, request: &Request) -> Response {
        let is_config = matches!(table, Table::ConfigAddress | Table::AutoLink);
        match operation {
            Operation::Query => self.query_table(table, request),
            Operation::Read if matches!(table, Table::Metrics) => forbidden(Value::Null),
            Operation::Read => logged(table, "READ", self.read_row(table, request)),
            Operation::Create if is_config => {
                let created = self.create_core_config(table, request);
                let response = logged(table, "CREATE", created);
                if response.status == Status::Created { response } else { Response { body: Value::Null, ..response } }
            }
            Operation::Delete if is_config => logged(table, "DELETE", self.delete_core_config(table, request)),
            Operation::Update if table == Table::Connection => self.update_connection(request),
            Operation::Update if is_config || table == Table::Address => not_implemented(table, "UPDATE"),
            Operation::Create if table == Table::Connection || table == Table::Address => {
                not_implemented(table, "CREATE")
            }
            Operation::Delete if table == Table::Address => not_implemented(table, "DELETE"),
            Operation::Delete => forbidden(Map::new()),
            Operation::Update | Operation::Create => forbidden(Value::Null),
        }
    }

    /// Rows of a table, oldest first.
    fn rows(&self, table: Table, page: Page) -> Vec<Row> {
        let all = match table {
            Table::Address => return self.backend.addresses(page).iter().map(core_rows::address).collect(),
            Table::Link => return self.backend.links(page).iter().map(core_rows::link).collect(),
            Table::Connection => {
                return self.backend.connections(page).iter().map(core_rows::connection).collect();
            }
            Table::Metrics => vec![core_rows::metrics(
                &self.backend.totals(),
                &self.backend.router_id(),
                self.core_config.auto_link_count(),
            )],
            Table::ConfigAddress => self.core_config.address_rows(),
            Table::AutoLink => self.core_config.auto_link_rows(|number| self.backend.auto_link_status(number)),
        };
        all.into_iter().skip(page.offset).take(page.count).collect()
    }

    /// The row with that value in the column `identity` or `name`.
    fn row(&self, table: Table, column: &str, value: &str) -> Option<Row> {
        match (table, column) {
            (Table::Address, _) => self.backend.address(value).map(|a| core_rows::address(&a)),
            (Table::Link, "name") => self.backend.link(LinkKey::Name(value)).map(|l| core_rows::link(&l)),
            (Table::Link, _) => self.backend.link(LinkKey::Number(value.parse().ok()?)).map(|l| core_rows::link(&l)),
            (Table::Connection, _) => self.backend.connection(value.parse().ok()?).map(|c| core_rows::connection(&c)),
            _ => {
                let at = table.column(column)?;
                self.rows(table, Page::ALL).into_iter().find(|row| row[at].as_str() == Some(value))
            }
        }
    }

    fn query_table(&self, table: Table, request: &Request) -> Response {
        let wanted = request.body.as_map().and_then(|m| m.get("attributeNames")).and_then(Value::as_list);
        let wanted = wanted.filter(|w| !w.is_empty() && w.len() < MAX_COLUMNS);
        // What is not a name has no column; a name that is not known shows the first one.
        let places: Vec<Option<usize>> = match wanted {
            Some(wanted) => wanted.iter().map(|w| w.as_str().map(|n| table.column(n).unwrap_or(0))).collect(),
            None => (0..table.columns().len()).map(Some).collect(),
        };
        let count = match paging(request, "count") {
            Some(count) if count > 0 => usize::try_from(count).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        // A negative offset is beyond the end.
        let offset = usize::try_from(paging(request, "offset").unwrap_or(0)).unwrap_or(usize::MAX);
        let select = |mut row: Row| -> Value {
            let take = |place: &Option<usize>| place.map_or(Value::Null, |at| row[at].clone());
            let whole = wanted.is_none();
            if whole { std::mem::take(&mut row).into() } else { places.iter().map(take).collect::<Vec<_>>().into() }
        };
        let results: Vec<Value> = self.rows(table, Page { offset, count }).into_iter().map(select).collect();
        let names: Vec<Value> = places.iter().flatten().map(|&at| table.columns()[at].into()).collect();
        Response::new(Status::Ok, Map::new().with("attributeNames", names).with("results", results))
    }

    fn read_row(&self, table: Table, request: &Request) -> Result<Response, Failure> {
        let (identity, name) = (request.text("identity"), request.text("name"));
        if table == Table::Connection && identity.is_none() {
            return Err(Failure::bad_request("Name not supported. Identity required"));
        }
        let row = match (identity, name) {
            (Some(identity), _) => self.row(table, "identity", identity),
            (None, Some(name)) => self.row(table, "name", name),
            (None, None) => return Err(Failure::bad_request("No name or identity provided")),
        };
        let row = row.ok_or_else(|| Failure::not_found(Status::NotFound.description()))?;
        Ok(Response::new(Status::Ok, table.map(row)))
    }

    fn update_connection(&mut self, request: &Request) -> Response {
        self.try_update_connection(request).unwrap_or_else(Response::from)
    }

    fn try_update_connection(&mut self, request: &Request) -> Result<Response, Failure> {
        let bad_request = || Failure::bad_request(Status::BadRequest.description());
        let body = request.body.as_map().ok_or_else(bad_request)?;
        let number: u32 = request.text("identity").and_then(|i| i.parse().ok()).ok_or_else(bad_request)?;
        // Nothing is done before all is known to make sense.
        let admin = connection_attribute(body, "adminStatus")?;
        let trace = connection_attribute(body, "enableProtocolTrace")?;
        if admin.is_none() && trace.is_none() {
            return Err(bad_request());
        }
        let mut target = self.backend.connection(number).ok_or_else(bad_request)?;
        if let Some(admin) = admin {
            // Whoever asks must still be there.
            let requester = request.requester.filter(|n| self.backend.connection(*n).is_some());
            let requester = requester.ok_or_else(bad_request)?;
            if !self.backend.may_update_admin_status(requester) {
                return Err(not_allowed());
            }
            if admin.as_str() == Some("deleted") {
                self.delete_connection(&mut target, requester)?;
            }
        }
        if let Some(trace) = trace {
            let on = trace.as_bool() == Some(true);
            self.backend.trace_connection(number, on);
            target.traced = on;
        }
        Ok(Response::new(Status::Ok, Table::Connection.map(core_rows::connection(&target))))
    }

    fn delete_connection(&mut self, target: &mut ConnectionRow, requester: u32) -> Result<(), Failure> {
        let between_routers = matches!(target.role, ConnectionRole::InterRouter | ConnectionRole::Edge);
        if between_routers || target.params.host == "egress-dispatch" {
            return Err(not_allowed());
        }
        let number = target.number;
        router_engine::log!(
            LogModule::Agent,
            Level::Info,
            conn = number,
            "Connection force-closed by request from connection [C{requester}]"
        );
        target.deleted = true;
        self.backend.cut_connection(number);
        Ok(())
    }
}

fn not_allowed() -> Failure {
    Failure { status: Status::Forbidden, class: "ForbiddenStatus", text: NOT_ALLOWED.to_owned() }
}

/// The converted value of an attribute of a connection, if the body has it.
fn connection_attribute(body: &Map, name: &'static str) -> Result<Option<Value>, Failure> {
    let ty = EntityType::Connection;
    let value = body.get(name).filter(|value| !value.is_null());
    let Some((value, attribute)) = value.zip(ty.attribute(name)) else { return Ok(None) };
    Ok(Some(validate::value_of(ty, attribute, value.clone())?))
}

fn paging(request: &Request, key: &str) -> Option<i64> {
    let value = request.properties.get(key)?;
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn forbidden(body: impl Into<Value>) -> Response {
    Response::new(Status::Forbidden, body)
}

/// Upstream leaves such requests without an answer; saying so is kinder.
fn not_implemented(table: Table, operation: &str) -> Response {
    let ty = table.entity_type();
    Failure::not_implemented(format!("Operation '{operation}' not implemented on {ty}")).into()
}

fn logged(table: Table, operation: &str, result: Result<Response, Failure>) -> Response {
    result.unwrap_or_else(|failure| {
        router_engine::log!(
            LogModule::Agent,
            Level::Error,
            "Error performing {operation} of {}: {}",
            table.entity_type(),
            failure.text
        );
        failure.into()
    })
}
