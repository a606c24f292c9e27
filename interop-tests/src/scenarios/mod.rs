//! What is checked, whichever routers carry it.

pub mod amqp;
pub mod cut;
pub mod long_path;
pub mod tcp;

use anyhow::Result;

/// How often a scenario with much load may be tried beside C routers.
///
/// Between two C routers, about one bidirectional flow in 2000 under this load loses its end, its last one or two
/// buffers, or stalls; so beside a C router one failure proves nothing. Meshes of our routers alone get no second try
/// (`tests/tcp.rs`). What a C router forgets as a stream begins is no reason for one: it sends that on when the stream's
/// link gets credit, which it does from a router of ours before the patience ends.
const LOAD_ATTEMPTS: usize = 3;

/// Tries a scenario again that fails beside C routers.
pub fn beside_c_routers(mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    for number in 1..LOAD_ATTEMPTS {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("attempt {number} failed: {error:#}"),
        }
    }
    attempt()
}
