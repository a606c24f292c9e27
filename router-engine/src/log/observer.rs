//! The least subscriber: a function.

use super::record::{Record, is_log};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Metadata, Subscriber};

/// Hands events of [`log!`](crate::log!) to a function and ignores everything else, for whoever needs no layers, such as
/// tests.
pub struct Observer<F>(pub F);

/// Has a function observe what the process logs. Returns false when there is a subscriber already.
pub fn observe(function: impl Fn(&Record) + Send + Sync + 'static) -> bool {
    tracing::subscriber::set_global_default(Observer(function)).is_ok()
}

impl<F: Fn(&Record) + Send + Sync + 'static> Subscriber for Observer<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_log(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(record) = Record::read(event) {
            (self.0)(&record);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Spans are not enabled; all would be the same one.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
