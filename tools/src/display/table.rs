//! Tables, as text and as values.

use serde_json::{Map, Value as Json, json};

use super::{Cell, Style};

/// Between two columns.
const GAP: usize = 2;

/// A titled table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// One line, or several.
    pub title: String,
    /// Headings of the columns.
    pub heads: Vec<&'static str>,
    /// Rows of as many cells as there are headings.
    pub rows: Vec<Vec<Cell>>,
}

// === impl Table ===

impl Table {
    /// A table of attributes and their values.
    pub fn of_values(title: impl Into<String>, values: Vec<(String, Cell)>) -> Self {
        let rows = values.into_iter().map(|(name, value)| vec![Cell::Text(name), value]).collect();
        Self { title: title.into(), heads: vec!["attr", "value"], rows }
    }

    /// Puts the rows in the order of a column's text. Equal ones keep their order.
    pub fn sort_by(&mut self, head: &str) {
        if let Some(at) = self.heads.iter().position(|known| *known == head) {
            self.rows.sort_by_cached_key(|row| row[at].show());
        }
    }

    /// Columns as wide as what is in them, below the title. Without rows, the title is all.
    pub fn lines(&self, style: Style) -> Vec<String> {
        let mut lines: Vec<String> = self.title.lines().map(|line| style.title(line)).collect();
        if self.rows.is_empty() {
            return lines;
        }
        let cells: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(Cell::show).collect()).collect();
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let width = |at: usize| cells.iter().chain([&heads]).map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..heads.len()).map(|at| width(at) + GAP).collect();
        let rule = "=".repeat(widths.iter().sum());
        lines.push(format!("  {}", style.heading(&padded(&heads, &widths))));
        lines.push(format!("  {}", style.faint(&rule)));
        lines.extend(cells.iter().map(|row| format!("  {}", padded(row, &widths))));
        lines
    }

    /// Quoted values, below the title. Without rows, the title is all.
    pub fn csv_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.title.lines().map(str::to_owned).collect();
        if !self.rows.is_empty() {
            lines.push(joined(self.heads.iter().map(|head| (*head).to_owned())));
            lines.extend(self.rows.iter().map(|row| joined(row.iter().map(Cell::show))));
        }
        lines
    }

    /// `{"title": ..., "rows": [{HEADING: VALUE, ...}, ...]}`
    pub fn json(&self) -> Json {
        let row = |row: &Vec<Cell>| {
            let pairs = self.heads.iter().zip(row).map(|(head, cell)| ((*head).to_owned(), cell.json()));
            Json::Object(pairs.collect::<Map<_, _>>())
        };
        json!({"title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>()})
    }
}

/// The last cell is not padded.
fn padded(cells: &[String], widths: &[usize]) -> String {
    let Some((last, cells)) = cells.split_last() else { return String::new() };
    let mut line: String = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    line.push_str(last);
    line
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    let quoted = |text: String| match text.as_str() {
        "" => text,
        _ => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    cells.map(quoted).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            title: "Things\nand more".to_owned(),
            heads: vec!["id", "host", "last"],
            rows: vec![
                vec![Cell::Number(10), Cell::text("a \"b\""), Cell::Empty],
                vec![Cell::Commas(1000), Cell::Empty, Cell::text("x")],
            ],
        }
    }

    #[test]
    fn columns() {
        let lines = [
            "Things",
            "and more",
            "  id     host   last",
            "  ====================",
            "  10     a \"b\"  ",
            "  1,000         x",
        ];
        assert_eq!(table().lines(Style::default()), lines);
    }

    #[test]
    fn comma_separated() {
        let lines = ["Things", "and more", "\"id\",\"host\",\"last\"", "\"10\",\"a \"\"b\"\"\",", "\"1,000\",,\"x\""];
        assert_eq!(table().csv_lines(), lines);
    }

    #[test]
    fn values() {
        let first = &table().json()["rows"][0];
        assert_eq!(*first, json!({"id": 10, "host": "a \"b\"", "last": null}));
    }

    #[test]
    fn sorting_and_no_rows() {
        let mut table = table();
        table.sort_by("host");
        assert_eq!(table.rows[0][0], Cell::Commas(1000));
        table.rows.clear();
        assert_eq!(table.lines(Style::default()), ["Things", "and more"]);
        assert_eq!(table.csv_lines(), ["Things", "and more"]);
    }
}
