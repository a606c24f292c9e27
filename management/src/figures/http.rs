//! How the requests of httpListeners and httpConnectors go.

use super::Kind::{Counter, Gauge, Histogram};
use super::services::labels;
use super::{Figure, Label, Sink, Value, figure, tell as tell_rows, whole};
use adaptors::http_service::{Counters, HOSTS_MAX};
use adaptors::tcp::Service;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bound is told in the documentation of httpRequestInfo.
const _: () = assert!(HOSTS_MAX == 1000);

const SERVICES: &[Figure<Arc<Counters>>] = &[
    figure(
        Gauge,
        "skrouter_http_requests_under_way",
        "HTTP requests of an httpListener or httpConnector that have begun and not ended.",
        |counters| whole(counters.under_way()),
    ),
    figure(
        Counter,
        "skrouter_http_requests_retried_total",
        "HTTP requests of an httpListener that were sent once more, as their server had failed.",
        |counters| whole(counters.retried.load(Ordering::Relaxed)),
    ),
    figure(
        Histogram,
        "skrouter_http_response_seconds",
        "Of an httpListener, the time from the head of a request to that of its answer; of an httpConnector, what the \
         server took for the same.",
        |counters| counters.latency.snapshot().map(Value::Times),
    ),
];

const ANSWERS: &[Figure<u64>] = &[figure(
    Counter,
    "skrouter_http_requests_total",
    "HTTP requests of an httpListener or httpConnector that were answered, by method and status.",
    |count| whole(*count),
)];

const FAILURES: &[Figure<u64>] = &[figure(
    Counter,
    "skrouter_http_requests_failed_total",
    "HTTP requests that got no answer of a server, or not all of it: nobody could take them (unreachable), the server \
     has failed (server), the client has left (cancelled), they were no requests (refused).",
    |count| whole(*count),
)];

/// Its name, and where it is counted.
type Reason = (&'static str, fn(&Counters) -> &AtomicU64);

/// Why requests fail.
const REASONS: [Reason; 4] = [
    ("unreachable", |counters| &counters.failures.unreachable),
    ("server", |counters| &counters.failures.server_failed),
    ("cancelled", |counters| &counters.failures.cancelled),
    ("refused", |counters| &counters.failures.refused),
];

pub(super) fn tell(services: &[Arc<Service>], sink: &mut dyn Sink) {
    let of = |service| Service::http(service).map(|(_, counters)| (service, Arc::clone(counters)));
    let counted: Vec<_> = services.iter().map(Arc::as_ref).filter_map(of).collect();
    let rows: Vec<_> = counted.iter().map(|(service, counters)| (labels(service), Arc::clone(counters))).collect();
    tell_rows(sink, SERVICES, &rows);
    let mut answers = Vec::new();
    for (service, counters) in &counted {
        for (method, status, count) in counters.answers() {
            answers.push((with(service, [("method", method.into()), ("status", status.to_string().into())]), count));
        }
    }
    tell_rows(sink, ANSWERS, &answers);
    let mut failures = Vec::new();
    for (service, counters) in &counted {
        for (reason, counter) in REASONS {
            failures.push((with(service, [("reason", reason.into())]), counter(counters).load(Ordering::Relaxed)));
        }
    }
    tell_rows(sink, FAILURES, &failures);
}

/// The labels of a service, and more.
fn with<'a, const N: usize>(service: &'a Service, more: [Label<'a>; N]) -> Vec<Label<'a>> {
    labels(service).into_iter().chain(more).collect()
}
