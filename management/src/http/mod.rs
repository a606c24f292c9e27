//! What HTTP listeners answer by themselves: `/healthz` for probes and `/metrics` for scrapers (spec `tcp-adaptor.md`
//! section 14).

mod metrics;

use crate::runtime::now;
use adaptors::http::Page;
use router_engine::Router;

/// Whether the router is well: made only when its core answers.
pub(crate) const HEALTHZ: Page = Page { path: "/healthz", closes: false, make: health };

/// The router's figures.
pub(crate) const METRICS: Page = Page { path: "/metrics", closes: true, make: metrics::page };

fn health(router: &Router) -> String {
    // It is the lock of the core that matters.
    let _ = router.router_row(now());
    "OK\n".to_owned()
}
