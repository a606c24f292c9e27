//! Queries, page by page.

use std::io::{IsTerminal, Write};

use serde_json::{Value as Json, json};

use super::{Client, Request};
use crate::error::{Error, Result};

/// Most rows asked for at a time: a reply is one message, which the router and we hold whole.
const PAGE: usize = 500;

/// The result of a query.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    names: Vec<String>,
    rows: Vec<Vec<Json>>,
}

/// One entity of a result.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    names: &'a [String],
    values: &'a [Json],
}

/// Counts rows on a terminal's last line while more of them come.
struct Counter {
    shown: bool,
}

// === impl Rows ===

impl Rows {
    /// Rows of named values.
    pub fn new(names: Vec<String>, rows: Vec<Vec<Json>>) -> Self {
        Self { names, rows }
    }

    /// The entities in the order of the router.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { names: &self.names, values })
    }

    /// The first entity.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// Whether there are no entities.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the router reported this attribute at all, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    /// The value of an attribute; null if there is none.
    pub fn get(&self, name: &str) -> &'a Json {
        let at = self.names.iter().position(|known| known == name);
        at.and_then(|at| self.values.get(at)).unwrap_or(&Json::Null)
    }

    /// An attribute that is text.
    pub fn text(&self, name: &str) -> &'a str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// An attribute that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name).as_i64()
    }

    /// Names and values.
    pub fn pairs(self) -> impl Iterator<Item = (&'a str, &'a Json)> {
        self.names.iter().map(String::as_str).zip(self.values)
    }
}

// === impl Client ===

impl Client {
    /// Entities of a type, or of all types; some attributes, or all. At most `limit`, unless that is 0.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn query(&mut self, kind: Option<&str>, names: &[&str], limit: usize) -> Result<Rows> {
        let mut found = Rows::default();
        let mut last_page = 0..0;
        let mut counter = Counter { shown: false };
        loop {
            let offset = found.rows.len();
            let count = if limit == 0 { PAGE } else { PAGE.min(limit - offset) };
            let (columns, page) = self.page(kind, names, offset, count).await?;
            // The general agent knows no pages: it sends everything, every time.
            let repeated = !page.is_empty() && found.rows[last_page.clone()] == page;
            if offset == 0 {
                found.names = columns;
            }
            let rows = page.len();
            if !repeated {
                last_page = offset..offset + rows;
                found.rows.extend(page);
            }
            if rows != count || repeated || found.rows.len() == limit {
                break;
            }
            counter.show(found.rows.len());
        }
        if limit != 0 {
            found.rows.truncate(limit);
        }
        Ok(found)
    }

    async fn page(
        &mut self,
        kind: Option<&str>,
        names: &[&str],
        offset: usize,
        count: usize,
    ) -> Result<(Vec<String>, Vec<Vec<Json>>)> {
        let request = Request::to_node("QUERY")
            .with("entityType", kind)
            .with("offset", offset)
            .with("count", count)
            .with_body(json!({"attributeNames": names}));
        let Json::Object(mut body) = self.call(request, 200).await? else { return Err(malformed()) };
        let mut list = |name| match body.remove(name) {
            Some(Json::Array(items)) => Ok(items),
            _ => Err(malformed()),
        };
        let columns = list("attributeNames")?.into_iter().map(text).collect();
        let rows = list("results")?.into_iter().map(|row| match row {
            Json::Array(values) => Ok(values),
            _ => Err(malformed()),
        });
        Ok((columns, rows.collect::<Result<_>>()?))
    }
}

fn malformed() -> Error {
    Error::Value("the reply to a query is malformed".to_owned())
}

fn text(value: Json) -> String {
    match value {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

// === impl Counter ===

impl Counter {
    fn show(&mut self, rows: usize) {
        if std::io::stderr().is_terminal() {
            self.shown = true;
            // Whether the counter can be seen does not matter to the result.
            let _ = write!(std::io::stderr(), "\r{rows} rows");
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
