//! Tables of live state (spec `management-protocol.md` section 4). They are served by the full names of their types.
//!
//! Columns, their order and their types on the wire differ from the schema's: they are those of the rooms.

use super::EntityType;
use super::column::Column;
use super::numbered::Numbered;
use crate::agent::{Backend, Failure, Request, Response, Status};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::snapshot::Page;
use router_engine::log::{Level, LogModule};

/// What tables show, and what is changed through them.
pub(crate) struct Core<'a> {
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) numbered: &'a mut Numbered,
}

/// What a request names a row by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Identity(&'a str),
    Name(&'a str),
}

/// A table as its room describes it.
pub(super) trait Rows: Sync {
    type Row: 'static;

    const TYPE: EntityType;

    const COLUMNS: &'static [Column<Self::Row>];

    /// Rows of a page, oldest first.
    fn page(&self, core: &Core<'_>, page: Page) -> Vec<Self::Row>;

    /// The row with that key.
    fn find(&self, core: &Core<'_>, key: Key<'_>) -> Option<Self::Row>;

    /// What a request to read a row names it by.
    ///
    /// # Errors
    /// When it names none.
    fn key<'a>(&self, request: &'a Request) -> Result<Key<'a>, Failure> {
        Key::of(request)
    }

    fn read_row(&self, core: &Core<'_>, request: &Request) -> Result<Response, Failure> {
        let row = self.find(core, self.key(request)?);
        let row = row.ok_or_else(|| Failure::not_found(Status::NotFound.description()))?;
        Ok(Response::new(Status::Ok, row_map::<Self>(&row)))
    }

    fn create_row(&self, _core: &mut Core<'_>, _request: &Request) -> Response {
        forbidden(Value::Null)
    }

    fn update_row(&self, _core: &mut Core<'_>, _request: &Request) -> Response {
        forbidden(Value::Null)
    }

    fn delete_row(&self, _core: &mut Core<'_>, _request: &Request) -> Response {
        forbidden(Map::new())
    }
}

/// A table as the agent serves it.
pub(crate) trait Table: Sync {
    /// The names of the columns, in order.
    fn columns(&self) -> Vec<&'static str>;

    /// Rows of a page, oldest first: what the columns in these places show. `None` shows nothing.
    fn query(&self, core: &Core<'_>, page: Page, places: &[Option<usize>]) -> Vec<Value>;

    /// READ.
    fn read(&self, core: &Core<'_>, request: &Request) -> Response;

    /// CREATE.
    fn create(&self, core: &mut Core<'_>, request: &Request) -> Response;

    /// UPDATE.
    fn update(&self, core: &mut Core<'_>, request: &Request) -> Response;

    /// DELETE.
    fn delete(&self, core: &mut Core<'_>, request: &Request) -> Response;
}

// === impl Key ===

impl<'a> Key<'a> {
    /// The identity or else the name in a request.
    ///
    /// # Errors
    /// When it has neither.
    pub(super) fn of(request: &'a Request) -> Result<Self, Failure> {
        let name = || request.text("name").map(Key::Name);
        let key = request.text("identity").map(Key::Identity).or_else(name);
        key.ok_or_else(|| Failure::bad_request("No name or identity provided"))
    }
}

// === impl Table for every kind with rows ===

impl<T: Rows> Table for T {
    fn columns(&self) -> Vec<&'static str> {
        T::COLUMNS.iter().map(|(name, _)| *name).collect()
    }

    fn query(&self, core: &Core<'_>, page: Page, places: &[Option<usize>]) -> Vec<Value> {
        let show = |row: &T::Row| {
            let values = places.iter().map(|place| place.map_or(Value::Null, |at| T::COLUMNS[at].1(row)));
            values.collect::<Vec<_>>().into()
        };
        self.page(core, page).iter().map(show).collect()
    }

    fn read(&self, core: &Core<'_>, request: &Request) -> Response {
        logged(T::TYPE, "READ", self.read_row(core, request))
    }

    fn create(&self, core: &mut Core<'_>, request: &Request) -> Response {
        self.create_row(core, request)
    }

    fn update(&self, core: &mut Core<'_>, request: &Request) -> Response {
        self.update_row(core, request)
    }

    fn delete(&self, core: &mut Core<'_>, request: &Request) -> Response {
        self.delete_row(core, request)
    }
}

/// A row as a map.
pub(super) fn row_map<T: Rows + ?Sized>(row: &T::Row) -> Map {
    T::COLUMNS.iter().map(|(name, value)| (*name, value(row))).collect()
}

/// The part of all rows that a page shows.
pub(super) fn paged<R>(rows: impl Iterator<Item = R>, page: Page) -> Vec<R> {
    rows.skip(page.offset).take(page.count).collect()
}

pub(super) fn forbidden(body: impl Into<Value>) -> Response {
    Response::new(Status::Forbidden, body)
}

/// Upstream leaves such requests without an answer; saying so is kinder.
pub(super) fn not_implemented(ty: EntityType, operation: &str) -> Response {
    Failure::not_implemented(format!("Operation '{operation}' not implemented on {ty}")).into()
}

/// The answer, or what failed, which is logged.
pub(super) fn logged(ty: EntityType, operation: &str, result: Result<Response, Failure>) -> Response {
    result.unwrap_or_else(|failure| {
        let text = &failure.text;
        router_engine::log!(LogModule::Agent, Level::Error, "Error performing {operation} of {ty}: {text}");
        failure.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fake::{agent, call};

    /// What every table answers to what it does not do: the status and whether there is an (empty) map in the answer.
    #[test]
    fn what_tables_do_not_do() {
        const FORBIDDEN: (Status, bool) = (Status::Forbidden, false);
        const EMPTY: (Status, bool) = (Status::Forbidden, true);
        const MISSING: (Status, bool) = (Status::NotImplemented, true);
        let mut agent = agent();
        for (ty, operation, (status, has_map)) in [
            (EntityType::RouterMetrics, "READ", FORBIDDEN),
            (EntityType::RouterMetrics, "CREATE", FORBIDDEN),
            (EntityType::RouterMetrics, "UPDATE", FORBIDDEN),
            (EntityType::RouterMetrics, "DELETE", EMPTY),
            (EntityType::Link, "CREATE", FORBIDDEN),
            (EntityType::Link, "UPDATE", FORBIDDEN),
            (EntityType::Link, "DELETE", EMPTY),
            (EntityType::Address, "CREATE", MISSING),
            (EntityType::Address, "UPDATE", MISSING),
            (EntityType::Address, "DELETE", MISSING),
            (EntityType::Connection, "CREATE", MISSING),
            (EntityType::Connection, "DELETE", EMPTY),
            (EntityType::ConfigAddress, "UPDATE", MISSING),
            (EntityType::AutoLink, "UPDATE", MISSING),
        ] {
            let request = [("operation", operation), ("type", &*ty.full()), ("identity", "1")];
            let response = call(&mut agent, &request, Map::new());
            assert_eq!((response.status, response.body.as_map().is_some()), (status, has_map), "{operation} {ty}");
            if status == Status::NotImplemented {
                assert_eq!(response.description, format!("Operation '{operation}' not implemented on {ty}"));
            }
        }
    }

    #[test]
    fn rows_are_named_by_identity_or_name() {
        let request = |properties: &[(&str, &str)]| Request {
            properties: properties.iter().map(|(key, value)| (*key, *value)).collect(),
            ..Request::default()
        };
        let both = request(&[("name", "n"), ("identity", "i")]);
        assert_eq!(Key::of(&both), Ok(Key::Identity("i")));
        assert_eq!(Key::of(&request(&[("name", "n")])), Ok(Key::Name("n")));
        let neither = Key::of(&Request::default()).expect_err("named by nothing");
        assert_eq!(neither, Failure::bad_request("No name or identity provided"));
    }

    /// Tables may show more than the schema declares, but nothing by a name that is misspelt.
    #[test]
    fn columns_are_attributes_or_known_not_to_be() {
        for &ty in EntityType::ALL {
            let Some(table) = ty.kind().table() else { continue };
            let columns = table.columns();
            let undeclared: Vec<_> = columns.iter().copied().filter(|name| ty.attribute(name).is_none()).collect();
            let known: &[&str] = match ty {
                EntityType::RouterMetrics => &["deliveriesRedirectedToFallback", "linksBlocked"],
                EntityType::Connection => &["active"],
                EntityType::Address => &["deliveriesRedirectedToFallback"],
                _ => &[],
            };
            assert_eq!(undeclared, known, "{ty}");
            let distinct: std::collections::HashSet<_> = columns.iter().collect();
            assert_eq!(distinct.len(), columns.len(), "{ty}");
        }
    }
}
