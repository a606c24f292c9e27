//! How answers look: cells, tables, CSV, JSON, colours.

mod cell;
mod style;
mod table;

pub use cell::Cell;
pub use style::Style;
pub use table::Table;

/// The form in which views are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Columns as wide as what is in them.
    Table,
    /// Comma-separated values, below the same titles.
    Csv,
    /// One JSON document for each view of each router.
    Json,
}
