//! What HTTP listeners answer by themselves: `/healthz` for probes and `/metrics` for scrapers (spec `tcp-adaptor.md`
//! section 14).

mod metrics;
pub(crate) mod page;
mod services;

use crate::runtime::now;
use adaptors::http::{Media, Page};
use adaptors::runtime::Io;

/// Whether the router is well: made only when its core answers.
pub(crate) fn healthz() -> Page {
    Page::new("/healthz", Media::Plain, health)
}

/// The router's figures.
pub(crate) fn metrics() -> Page {
    Page::new("/metrics", Media::Plain, figures).closing()
}

fn health(io: &Io) -> String {
    // It is the lock of the core that matters.
    let _ = io.router().router_row(now());
    "OK\n".to_owned()
}

/// The known figures first: whoever reads no further misses nothing that was there before.
fn figures(io: &Io) -> String {
    let mut text = metrics::page(io.router());
    services::add_all(&mut text, &io.all_services());
    text
}
