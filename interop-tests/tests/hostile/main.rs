//! Peers that mean harm. `INTEROP_HOSTILE_SECONDS` sets for how long each kind of them does (5), `INTEROP_SEED` what
//! they send (1).

mod crowd;
mod liar;
mod proxies;
mod sasl;
mod siege;

use std::time::Duration;

/// How long the attackers are at it.
fn duration() -> Duration {
    Duration::from_secs(setting("INTEROP_HOSTILE_SECONDS", 5))
}

/// What the attackers' choices depend on.
fn seed() -> u64 {
    setting("INTEROP_SEED", 1)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
