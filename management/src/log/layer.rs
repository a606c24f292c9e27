//! The layers of the subscriber: what becomes of an event.

use super::format::Format;
use super::recent::Entry;
use super::{Logger, json, text};
use router_engine::log::{Level, LogModule, Record, is_log};
use router_engine::vanflow::{Attribute, Attributes, Value};
use std::time::SystemTime;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Writes events to their outputs, and keeps them for GET-LOG. Where an event goes is looked up once, so that whoever
/// changes outputs meanwhile neither loses nor doubles it.
struct Lines(&'static Logger);

/// Lets the router's own events pass, once for each callsite. Whoever wants to hear libraries makes it let more pass, and
/// adds a layer for them: the others take no foreign events.
struct OwnEvents;

/// What the process's events go through.
pub(super) fn all(logger: &'static Logger) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(Lines(logger)).with(OwnEvents)
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(record) = Record::read(event) else { return };
        let (destination, at) = (self.0.destination(record.module), SystemTime::now());
        let entry = Entry::new(&record, at);
        let line = match destination.format {
            Format::Text => text::line(self.0, &record, &entry.text, at, &destination),
            Format::Json => json::line(&record, at, &destination),
        };
        destination.output.write(record.level, line);
        if let Some(records) = self.0.records.get().filter(|_| is_recorded(&record)) {
            records.log(|| attributes(&record, &entry.text), adaptors::clock::now());
        }
        self.0.recent.push(entry);
    }
}

/// Warnings and worse have a record; those of records would make more of themselves.
fn is_recorded(record: &Record) -> bool {
    record.level >= Level::Warning && record.module != LogModule::FlowLog
}

/// What is recorded of an event (spec `vanflow.md` section 7.7).
fn attributes(record: &Record, text: &str) -> Attributes {
    let severity = match record.level {
        Level::Debug => 0,
        Level::Info => 1,
        Level::Warning => 2,
        Level::Error => 3,
        Level::Critical => 4,
    };
    [
        (Attribute::LogSeverity, Value::Number(severity)),
        (Attribute::LogText, format!("LOG_{}: {text}", record.module.name()).into()),
        (Attribute::SourceFile, record.file.into()),
        (Attribute::SourceLine, Value::Number(record.line.into())),
    ]
    .into_iter()
    .collect()
}

impl<S: Subscriber> Layer<S> for OwnEvents {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_log(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_log(metadata)
    }
}
