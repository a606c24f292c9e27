//! Views that are one table with a row for each entity of a type: columns are names and functions.

use super::options::Options;
use super::report::Report;
use crate::client::{Client, Row, Rows};
use crate::display::{Cell, Table};
use crate::error::Result;

/// A column: its heading, and the cell of a row.
#[derive(Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    cell: fn(Row<'_>) -> Cell,
    /// Shown with `--verbose` only.
    verbose: bool,
    /// Shown only if the router reports this attribute: older ones lack it.
    needs: Option<&'static str>,
}

/// A view of the entities of a type.
#[derive(Clone, Copy)]
pub(super) struct Listing {
    /// The title above the rows.
    pub title: fn(&Rows) -> String,
    /// Type of the entities, without the prefix.
    pub kind: &'static str,
    /// Attributes to ask for; none means all.
    pub attributes: &'static [&'static str],
    /// The columns from left to right.
    pub columns: &'static [Column],
    /// Heading of the column that gives the order, if it is not the router's.
    pub sorted_by: Option<&'static str>,
    /// Which entities have a row.
    pub filter: fn(Row<'_>) -> bool,
    /// What is said if no entity has a row.
    pub none: Option<&'static str>,
    /// Whether `--limit` counts.
    pub limited: bool,
}

// === impl Column ===

impl Column {
    /// A column.
    pub(super) const fn new(head: &'static str, cell: fn(Row<'_>) -> Cell) -> Self {
        Self { head, cell, verbose: false, needs: None }
    }

    /// Only with `--verbose`.
    #[must_use]
    pub(super) const fn verbose(self) -> Self {
        Self { verbose: true, ..self }
    }

    /// Only if the router reports this attribute.
    #[must_use]
    pub(super) const fn if_reported(self, attribute: &'static str) -> Self {
        Self { needs: Some(attribute), ..self }
    }
}

// === impl Listing ===

impl Listing {
    /// The most common values, for the rest of a definition.
    pub(super) const PLAIN: Self = Self {
        title: |_| String::new(),
        kind: "",
        attributes: &[],
        columns: &[],
        sorted_by: None,
        filter: |_| true,
        none: None,
        limited: true,
    };

    /// Asks for the entities and makes the table.
    ///
    /// # Errors
    /// Those of [`Client::query`].
    pub(super) async fn report(&self, client: &mut Client, options: &Options) -> Result<Report> {
        let limit = if self.limited { options.limit() } else { 0 };
        let kind = format!("io.skupper.router.{}", self.kind);
        let rows = client.query(Some(&kind), self.attributes, limit).await?;
        Ok(self.of_rows(&rows, options.verbose > 0))
    }

    /// The view of these entities.
    pub(super) fn of_rows(&self, rows: &Rows, verbose: bool) -> Report {
        let mut shown_rows = rows.iter().filter(|row| (self.filter)(*row)).peekable();
        if let (None, Some(none)) = (shown_rows.peek(), self.none) {
            return Report::note(none);
        }
        let shown = |column: &&Column| {
            (verbose || !column.verbose) && (rows.is_empty() || column.needs.is_none_or(|name| rows.has(name)))
        };
        let columns: Vec<&Column> = self.columns.iter().filter(shown).collect();
        let cells = |row: Row<'_>| columns.iter().map(|column| (column.cell)(row)).collect();
        let mut table = Table {
            title: (self.title)(rows),
            heads: columns.iter().map(|column| column.head).collect(),
            rows: shown_rows.map(cells).collect(),
        };
        if let Some(head) = self.sorted_by {
            table.sort_by(head);
        }
        Report { tables: vec![table], ..Report::default() }
    }
}
