//! Configuration of the core.

use super::Router;
use crate::address::name::AddressContext;
use crate::forward::Treatment;
use crate::mesh::Timing;
use crate::mode::Mode;
use std::time::Duration;

/// Configuration of the router entity as far as the core needs it.
#[derive(Debug, Clone, Default)]
pub struct RouterConfig {
    /// The router id.
    pub id: String,
    /// The mode.
    pub mode: Mode,
    /// Treatment of addresses without a configuration.
    pub default_treatment: Treatment,
    /// The network id, when one is configured.
    pub network_id: Option<String>,
    /// The tenant id, when one is configured.
    pub tenant_id: Option<String>,
    /// Periods and ages of the routing protocols.
    pub timing: Timing,
    /// Balanced distribution does not count streams that have links of their own, as routers did once.
    pub ignore_moved_streams: bool,
    /// How long a client's stream that failed before it reached a server is sent again; zero is never.
    pub stream_retry: Duration,
}

/// Configuration of the addresses that match a pattern (spec `amqp-endpoint.md` 8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressConfig {
    /// The treatment.
    pub treatment: Treatment,
    /// Priority 0..=9 for choosing inter-router links; `None` uses the message's.
    pub priority: Option<u8>,
}

// === impl RouterConfig ===

impl RouterConfig {
    pub(super) fn address_context(&self) -> AddressContext {
        AddressContext::new(&self.id, self.mode, self.network_id.as_deref())
    }

    /// `0/<id>`: the router as named in router annotations.
    #[must_use]
    pub fn node_id(&self) -> String {
        format!("0/{}", self.id)
    }
}

// === impl Router ===

impl Router {
    /// Changes how many idle streaming links a connection keeps.
    pub fn keep_idle_streams(&self, count: usize) {
        self.with(|core| core.neighbours.pool_kept = count);
    }

    /// Adds an address configuration. A prefix `p` is given as the pattern `p/#`.
    ///
    /// # Errors
    /// When the same pattern (after normalisation) exists already.
    pub fn add_address_config(&self, pattern: &str, config: AddressConfig) -> Result<(), AddressConfig> {
        self.with(|core| {
            core.addresses.patterns.insert(pattern, config)?;
            core.reconsider_unavailable();
            Ok(())
        })
    }

    /// Removes an address configuration. Existing address records keep their treatment, but what was unavailable comes
    /// back.
    pub fn remove_address_config(&self, pattern: &str) -> Option<AddressConfig> {
        self.with(|core| {
            let removed = core.addresses.patterns.remove(pattern);
            core.reconsider_unavailable();
            removed
        })
    }
}
