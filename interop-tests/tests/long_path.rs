//! TCP flows between routers whose connections are long.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::harness::run;
use interop_tests::scenarios::long_path::{Direction, FIXED_WINDOW, LongPath};
use interop_tests::topology::{Dialler, LineBuilder, Security};

/// One way.
const DELAY: Duration = Duration::from_millis(150);
/// Octets of a flow, in fixed windows.
const WINDOWS: u32 = 100;

/// A window that is fixed takes a way there and back for each of its contents.
fn beats_a_fixed_window(security: Security, direction: Direction) -> Result<()> {
    let path = LongPath::start(LineBuilder::ours(2)?.joined(security, Dialler::Right), 2, DELAY)?;
    let taken = path.carry(direction, u64::from(WINDOWS) * FIXED_WINDOW)?;
    let fixed = 2 * DELAY * WINDOWS;
    ensure!(taken < fixed / 3, "{direction:?} took {taken:?}, and with a fixed window {fixed:?}");
    Ok(())
}

#[test]
fn to_the_server() {
    run(|| beats_a_fixed_window(Security::Plain, Direction::Up));
}

#[test]
fn from_the_server() {
    run(|| beats_a_fixed_window(Security::Plain, Direction::Down));
}

#[test]
fn with_tls() {
    run(|| beats_a_fixed_window(Security::MutualTls, Direction::Down));
}
