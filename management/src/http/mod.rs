//! What HTTP listeners answer by themselves: `/healthz` for probes and `/metrics` for scrapers (spec `tcp-adaptor.md`
//! section 14).

mod exposition;
mod metrics;
pub(crate) mod page;

use crate::figures::tell_all;
use crate::runtime::now;
use adaptors::http::Page;
use adaptors::runtime::Io;
use exposition::Text;

/// Whether the router is well: made only when its core answers.
pub(crate) fn healthz() -> Page {
    Page::new("/healthz", health).probe()
}

/// The router's figures.
pub(crate) fn metrics() -> Page {
    Page::new("/metrics", figures).closing()
}

fn health(io: &Io) -> String {
    // It is the lock of the core that matters.
    let _ = io.router().router_row(now());
    "OK\n".to_owned()
}

/// The known figures first: whoever reads no further misses nothing that was there before.
fn figures(io: &Io) -> String {
    let mut text = Text(metrics::page(io.router()));
    tell_all(io, &mut text);
    text.0
}
