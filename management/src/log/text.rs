//! The known text format.

use super::{Destination, Logger};
use router_engine::log::Record;
use std::fmt::Write;
use std::time::SystemTime;

/// `<time> <module> (<level>) [C<connection>][L<link>] <message> (<file>:<line>)`. The `text` is what follows the level.
pub(super) fn line(logger: &Logger, record: &Record, text: &str, at: SystemTime, destination: &Destination) -> String {
    let mut line = String::with_capacity(text.len() + 96);
    if destination.timestamp {
        logger.time.lock().format(at, &mut line);
        line.push(' ');
    }
    line.extend([record.module.name(), " (", record.level.name(), ") ", text]);
    if destination.source {
        let _ = write!(line, " ({}:{})", record.file, record.line);
    }
    line.push('\n');
    line
}
