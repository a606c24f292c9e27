//! What a view found, and how it is written.

use serde_json::{Map, Value as Json};

use crate::cli::Output;
use crate::display::{Form, Style, Table};

/// The content of one view of one router.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Said in place of tables.
    pub note: Option<String>,
    /// The tables.
    pub tables: Vec<Table>,
    /// For people, in place of tables: lines that are no table.
    pub drawing: Option<Vec<String>>,
}

// === impl Report ===

impl Report {
    /// Only a note.
    pub fn note(text: &str) -> Self {
        Self { note: Some(text.to_owned()), ..Self::default() }
    }

    /// Writes lines: tables have an empty line between them.
    pub fn write(&self, output: &mut Output, form: Form, style: Style) {
        if let Some(note) = &self.note {
            output.line(note);
        }
        if let (Form::Table, Some(drawing)) = (form, &self.drawing) {
            drawing.iter().for_each(|line| output.line(line));
            return;
        }
        for (at, table) in self.tables.iter().enumerate() {
            if at > 0 {
                output.line("");
            }
            let lines = if form == Form::Csv { table.csv_lines() } else { table.lines(style) };
            lines.iter().for_each(|line| output.line(line));
        }
    }

    /// Adds what was found to a JSON document.
    pub fn add_to(&self, document: &mut Map<String, Json>) {
        let tables = document.entry("tables").or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(tables) = tables {
            tables.extend(self.tables.iter().map(Table::json));
        }
        if let Some(note) = &self.note {
            let notes = document.entry("notes").or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(notes) = notes {
                notes.push(note.clone().into());
            }
        }
    }
}
