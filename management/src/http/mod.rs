//! What HTTP listeners answer by themselves: `/healthz` for probes and `/metrics` for scrapers (spec `tcp-adaptor.md`
//! section 14).

mod metrics;
mod services;

use crate::runtime::now;
use adaptors::http::Page;
use adaptors::runtime::Io;

/// Whether the router is well: made only when its core answers.
pub(crate) const HEALTHZ: Page = Page { path: "/healthz", closes: false, make: health };

/// The router's figures.
pub(crate) const METRICS: Page = Page { path: "/metrics", closes: true, make: figures };

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
