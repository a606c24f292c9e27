//! The layers of the subscriber: what becomes of an event.

use super::format::{Format, Formats};
use super::json::Json;
use super::recent::Entry;
use super::text::Text;
use super::{Destination, Logger};
use router_engine::log::{Record, is_log};
use std::time::SystemTime;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// How events become lines.
pub(super) trait Notation {
    /// Which outputs have it.
    const FORMAT: Format;

    /// The line of an event with that known text, with its end.
    fn line(&self, record: &Record, text: &str, at: SystemTime, destination: &Destination) -> String;
}

/// Writes events to the outputs that have a format, and keeps them for GET-LOG. Each event has one output, so that exactly
/// one of these layers takes it.
pub(super) struct Lines<N> {
    pub(super) logger: &'static Logger,
    pub(super) notation: N,
}

/// Lets the router's own events pass, once for each callsite. Whoever wants to hear libraries makes it let more pass, and
/// adds a layer for them: the others take no foreign events.
struct OwnEvents;

/// What the process's events go through. A format that no output has costs nothing.
pub(super) fn all(logger: &'static Logger, formats: &Formats) -> impl Subscriber + Send + Sync + use<> {
    let text = formats.uses(Format::Text).then_some(Lines { logger, notation: Text(logger) });
    let json = formats.uses(Format::Json).then_some(Lines { logger, notation: Json });
    tracing_subscriber::registry().with(text).with(json).with(OwnEvents)
}

impl<N: Notation + 'static, S: Subscriber> Layer<S> for Lines<N> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(record) = Record::read(event) else { return };
        let destination = self.logger.destination(record.module);
        if destination.output.format() == N::FORMAT {
            let at = SystemTime::now();
            let entry = Entry::new(&record, at);
            destination.output.write(record.level, self.notation.line(&record, &entry.text, at, &destination));
            self.logger.recent.push(entry);
        }
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
