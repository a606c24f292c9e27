//! Lines of JSON.

use super::{Destination, bounded};
use chrono::{DateTime, SecondsFormat, Utc};
use router_engine::log::{Level, LogModule, Record};
use std::fmt::Write;
use std::time::SystemTime;

/// An object a line: `timestamp` (RFC 3339, UTC), `module`, `level` and `message`; as far as they are known the numbers
/// `conn`, `link` and `delivery`; where the source is asked for `file` and `line`.
pub(super) fn line(record: &Record, at: SystemTime, destination: &Destination) -> String {
    let time = destination.timestamp.then_some(at);
    let mut line = begin(time, record.module, record.level, bounded(&record.message));
    for (name, number) in [("conn", record.conn), ("link", record.link), ("delivery", record.delivery)] {
        if let Some(number) = number {
            let _ = write!(line, r#","{name}":{number}"#);
        }
    }
    if destination.source {
        let _ = write!(line, r#","file":{},"line":{}"#, quoted(record.file), record.line);
    }
    line.push_str("}\n");
    line
}

/// The line of what is no event, but the last word of the process or a complaint about an output.
pub(super) fn notice(at: SystemTime, level: Level, text: &str) -> String {
    begin(Some(at), LogModule::Router, level, text) + "}\n"
}

/// What all lines have.
fn begin(at: Option<SystemTime>, module: LogModule, level: Level, message: &str) -> String {
    let mut line = String::with_capacity(message.len() + 160);
    line.push('{');
    if let Some(at) = at {
        let time = DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Micros, true);
        let _ = write!(line, r#""timestamp":"{time}","#);
    }
    let (module, level, message) = (module.name(), level.name(), quoted(message));
    let _ = write!(line, r#""module":"{module}","level":"{level}","message":{message}"#);
    line
}

fn quoted(text: &str) -> String {
    // Only maps and numbers can be without a form in JSON.
    serde_json::to_string(text).unwrap_or_default()
}
