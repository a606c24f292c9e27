//! Applications that say nothing for minutes, and then go on.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use interop_tests::apps::{Encryption, Routers, Stage, redis, ssh, websocket};
use interop_tests::harness::{Dialogue, run};

/// How long nothing is said: `INTEROP_IDLE_SECONDS`, 180 by default.
fn silence() -> Duration {
    let set = std::env::var("INTEROP_IDLE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(set.unwrap_or(180))
}

/// Each has a connection of its own through routers of its own, and all are silent at the same time.
fn check(routers: Routers) -> Result<()> {
    let mut stages = [Encryption::AtBothEnds, Encryption::Plain, Encryption::PassedThrough]
        .into_iter()
        .map(|encryption| Stage::open(routers, encryption))
        .collect::<Result<Vec<_>>>()?;
    let _redis = stages[0].serve(redis::serve)?;
    let _ssh = stages[1].serve(ssh::serve)?;
    let _websocket = stages[2].serve(websocket::serve)?;
    let mut asking = Dialogue::start(&mut redis::client("redis-cli", &stages[0])?)?;
    let mut shell = Dialogue::start(ssh::client("ssh", &stages[1])?.args(["127.0.0.1", "cat"]))?;
    let mut talking = Dialogue::start(&mut websocket::client(&stages[2])?)?;
    for round in 0..3 {
        if round > 0 {
            // Silence is what this is about.
            thread::sleep(silence());
        }
        asking.say(&format!("ECHO asked-{round}"))?;
        asking.hear(&format!("asked-{round}"))?;
        shell.say(&format!("typed-{round}"))?;
        shell.hear(&format!("typed-{round}"))?;
        talking.say("1000")?;
        talking.hear("echoed 1000")?;
    }
    stages.iter().try_for_each(Stage::expect_no_errors)
}

#[test]
#[ignore = "takes minutes"]
fn one_router() {
    run(|| check(Routers::One));
}

#[test]
#[ignore = "takes minutes"]
fn two_routers() {
    run(|| check(Routers::Two));
}
