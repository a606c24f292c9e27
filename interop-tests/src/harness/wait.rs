//! Waiting for conditions that announce themselves nowhere.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at. Short beside every protocol timer, long beside the cost of looking.
const PROBE_INTERVAL: Duration = Duration::from_millis(25);

/// The longest that a test waits for something that should happen.
///
/// It only bounds failing tests, so it is generous; `INTEROP_PATIENCE_SECONDS` changes it for slow machines.
pub fn patience() -> Duration {
    let seconds = std::env::var("INTEROP_PATIENCE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(45))
}

/// Calls `probe` until it yields a value, or fails with the last error once [`patience`] is used up.
///
/// The fixed pause between probes is not a guess at how long something takes: it only spaces the looks.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
    eventually_within(patience(), what, probe)
}

/// The same with a limit of its own.
pub fn eventually_within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => {
                bail!("gave up waiting until {what}: {error:#}")
            }
            Err(_) => thread::sleep(PROBE_INTERVAL),
        }
    }
}
