//! `--log`: recent entries.

use chrono::{Local, TimeZone};
use serde_json::Value as Json;

use super::report::Report;
use crate::client::{Client, Request};
use crate::display::{Cell, Table};
use crate::error::Result;

/// The newest entries, oldest first; all if `limit` is 0.
///
/// # Errors
/// Those of [`Client::call`].
pub(super) async fn log(client: &mut Client, limit: usize) -> Result<Report> {
    let limit = (limit != 0).then_some(limit);
    let entries = client.call(Request::to_node("GET-LOG").with("limit", limit), 200).await?;
    let rows: Vec<Vec<Cell>> = entries.as_array().into_iter().flatten().map(cells).collect();
    let drawing = rows.iter().map(|row| line(row)).collect();
    let table = Table { title: "Log".to_owned(), heads: vec!["time", "module", "level", "text"], rows };
    Ok(Report { tables: vec![table], drawing: Some(drawing), note: None })
}

/// An entry is module, level, text, file, line, seconds since the epoch.
fn cells(entry: &Json) -> Vec<Cell> {
    let seconds = entry[5].as_f64().unwrap_or_default();
    let time = Local.timestamp_opt(seconds as i64, 0).single();
    let time = time.map_or_else(String::new, |time| time.format("%a %b %e %H:%M:%S %Y").to_string());
    vec![Cell::Text(time), Cell::plain(&entry[0]), Cell::plain(&entry[1]), Cell::plain(&entry[2])]
}

fn line(row: &[Cell]) -> String {
    let [time, module, level, text] = [0, 1, 2, 3].map(|at| row[at].show());
    format!("{time} {module} ({level}) {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries() {
        let line = line(&cells(&json!(["SERVER", "info", "[C1] Accepted", null, null, 1_795_208_445])));
        let (time, rest) = line.split_at(24);
        assert!(time.ends_with("2026"), "{time:?}");
        assert_eq!(rest, " SERVER (info) [C1] Accepted");
    }
}
