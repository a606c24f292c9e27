//! Routers start, find each other and end when told to.

use anyhow::{Result, ensure};
use interop_tests::harness::run;
use interop_tests::topology::LineBuilder;

#[test]
fn one_router_starts_and_ends() {
    run(|| starts_and_ends(1));
}

#[test]
fn two_routers_join_and_end() {
    run(|| starts_and_ends(2));
}

fn starts_and_ends(count: usize) -> Result<()> {
    let mut line = LineBuilder::ours(count)?.start()?;
    for index in 0..count {
        let status = line.router_mut(index).terminate()?;
        ensure!(status.success(), "ended with {status}");
        line.node(index).router.log().wait_for(Default::default(), "Shut Down")?;
    }
    Ok(())
}
