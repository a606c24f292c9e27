//! Redis: pipelined requests, large values, subscribers, many connections.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, redis};
use interop_tests::harness::{Dialogue, output_of};

use crate::octets;

/// Requests in one pipe.
const PIPELINED: usize = 10_000;
/// Messages to a subscriber.
const PUBLISHED: usize = 1000;
/// Octets of a large value.
const LARGE: usize = 4 << 20;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(redis::serve)?;
    pipe(&stage)?;
    large_value(&stage)?;
    subscriber(&stage)?;
    benchmark(&stage)?;
    stage.expect_no_errors()
}

fn pipe(stage: &Stage) -> Result<()> {
    let mut requests = String::new();
    for n in 0..PIPELINED {
        write!(requests, "SET key:{n} {}\r\n", "v".repeat(n % 100 + 1))?;
    }
    let said = output_of(redis::client("redis-cli", stage)?.arg("--pipe"), requests.as_bytes())?;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.contains(&format!("errors: 0, replies: {PIPELINED}")), "{said}");
    Ok(())
}

fn large_value(stage: &Stage) -> Result<()> {
    let value = octets(1, LARGE);
    output_of(redis::client("redis-cli", stage)?.args(["-x", "SET", "large"]), &value)?;
    let mut got = output_of(redis::client("redis-cli", stage)?.args(["GET", "large"]), &[])?;
    ensure!(got.pop() == Some(b'\n') && got == value, "the value changed on the way");
    Ok(())
}

fn subscriber(stage: &Stage) -> Result<()> {
    let subscriber = Dialogue::start(redis::client("redis-cli", stage)?.args(["SUBSCRIBE", "news"]))?;
    subscriber.hear("1")?;
    let mut publisher = Dialogue::start(&mut redis::client("redis-cli", stage)?)?;
    for n in 0..PUBLISHED {
        publisher.say(&format!("PUBLISH news item-{n}-"))?;
    }
    for n in 0..PUBLISHED {
        subscriber.hear("message")?;
        subscriber.hear("news")?;
        let item = subscriber.hear("item")?;
        ensure!(item == format!("item-{n}-"), "{item} instead of number {n}");
    }
    Ok(())
}

/// Fifty connections at a time.
fn benchmark(stage: &Stage) -> Result<()> {
    let mut command = redis::client("redis-benchmark", stage)?;
    let said = output_of(command.args(["-q", "-n", "2000", "-c", "50", "-P", "8", "-t", "set,lpush,lrange_100"]), &[])?;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.matches("requests per second").count() >= 3 && !said.contains("Error"), "{said}");
    Ok(())
}

through! { check;
    one_router: One, Plain;
    two_routers_tls_at_both_ends: Two, AtBothEnds;
    upstream_first_tls_to_listener: UpstreamFirst, ToListener;
    upstream_last_tls_from_connector: UpstreamLast, FromConnector;
}
