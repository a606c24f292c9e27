//! What a subscriber reads from an event of [`log!`](crate::log!).

use super::{Level, LogModule, TARGET};
use std::fmt::{self, Display};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

/// What can stand between the prefix and the message in the known text format.
const SEPARATORS: [&str; 3] = [" ", ": ", ":"];

/// Octets for which messages have room from the start.
const USUAL: usize = 128;

/// An event, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Under which module.
    pub module: LogModule,
    /// How severe.
    pub level: Level,
    /// Number of the connection that it is about.
    pub conn: Option<u64>,
    /// Number of the link that it is about.
    pub link: Option<u64>,
    /// Number of the delivery that it is about.
    pub delivery: Option<u64>,
    /// What happened.
    pub message: String,
    /// Source file of the call.
    pub file: &'static str,
    /// Line of the call.
    pub line: u32,
    separator: &'static str,
}

/// Whether events of a callsite are those of [`log!`](crate::log!), rather than of a library that uses `tracing` itself.
#[must_use]
pub fn is_log(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

impl Record {
    /// The event, if it is one of [`log!`](crate::log!).
    #[must_use]
    pub fn read(event: &Event<'_>) -> Option<Self> {
        let metadata = event.metadata();
        if !is_log(metadata) {
            return None;
        }
        let mut record = Self {
            module: LogModule::Default,
            level: Level::of(*metadata.level()),
            conn: None,
            link: None,
            delivery: None,
            message: String::with_capacity(USUAL),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            separator: SEPARATORS[0],
        };
        event.record(&mut record);
        Some(record)
    }

    /// The message in the known text format: behind a prefix of the connection, link and delivery that it is about.
    pub fn text(&self) -> impl Display + '_ {
        fmt::from_fn(|f| {
            let places = [("[C", self.conn), ("[L", self.link), ("[D", self.delivery)];
            for (begin, number) in places.iter().filter_map(|(begin, number)| Some((begin, (*number)?))) {
                write!(f, "{begin}{number}]")?;
            }
            if places.iter().any(|(_, number)| number.is_some()) {
                f.write_str(self.separator)?;
            }
            f.write_str(&self.message)
        })
    }
}

impl Visit for Record {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "conn" => self.conn = Some(value),
            "link" => self.link = Some(value),
            "delivery" => self.delivery = Some(value),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "module" => self.module = LogModule::from_name(value).unwrap_or(self.module),
            "separator" => self.separator = SEPARATORS.into_iter().find(|s| *s == value).unwrap_or(self.separator),
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "critical" && value {
            self.level = Level::Critical;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Formatting a text cannot fail but by a `Display` that says so; what it gave until then is the message.
            let _ = fmt::write(&mut self.message, format_args!("{value:?}"));
        }
    }
}
