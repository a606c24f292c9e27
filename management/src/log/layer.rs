//! The layers of the subscriber: what becomes of an event.

use super::format::Format;
use super::recent::Entry;
use super::{Logger, json, text};
use router_engine::log::{Record, is_log};
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
        let line = match destination.output.format() {
            Format::Text => text::line(self.0, &record, &entry.text, at, &destination),
            Format::Json => json::line(&record, at, &destination),
        };
        destination.output.write(record.level, line);
        self.0.recent.push(entry);
    }
}

impl<S: Subscriber> Layer<S> for OwnEvents {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_log(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_log(metadata)
    }
}
