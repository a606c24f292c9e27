//! gRPC: every call ends with trailers, or is refused, or cancelled.

use anyhow::{Context, Result, ensure};
use interop_tests::apps::{Encryption, Routers, grpc};
use interop_tests::collector::Record;
use interop_tests::collector::code::*;
use interop_tests::harness::{output_of, run};

use crate::{Request, Scene};

/// Octets of answers that a client has seen before it cancels.
const SEEN: u64 = 3 * 1005;

fn calls(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut scene = Scene::open(routers, encryption)?;
    let _server = scene.stage.serve(grpc::serve)?;
    let said = String::from_utf8(output_of(&mut grpc::client(&scene.stage)?, &[])?)?;
    // How far the server got with an answer that nobody wanted is known by its record alone.
    let cancelled = cancelled(&scene)?;
    let truth = said.lines().map(|line| told(line, cancelled)).collect::<Result<Vec<_>>>()?;
    ensure!(truth.len() > 110, "{said}");
    scene.expect(1, truth).map(drop)
}

fn told(line: &str, cancelled: u64) -> Result<Request> {
    let mut words = line.split(' ');
    let kind = words.next();
    let mut octets = words.map(str::parse);
    let mut next = || octets.next().context("too few words")?.with_context(|| line.to_owned());
    let octets = if kind == Some("cancelled") { [next()?, cancelled] } else { [next()?, next()?] };
    Ok(Request::new("HTTP/2", "POST", 200, octets))
}

/// Octets of the answer to the call that was cancelled: the only one with so little to say and so much to hear.
fn cancelled(scene: &Scene) -> Result<u64> {
    scene.collector.wait_for(BIFLOW_TPORT, 1, Record::has_ended)?;
    let request = 5 + "1000000 1000".len() as u64;
    let is_it = |call: &Record| call.number(OCTETS) == Some(request) && call.number(OCTETS_REVERSE) >= Some(SEEN);
    let found = scene.collector.wait_for(BIFLOW_APP, 1, |call| call.has_ended() && is_it(call))?;
    let octets = found.values().next().and_then(|call| call.number(OCTETS_REVERSE)).context("no answer")?;
    ensure!(octets < 1000 * 1_000_000, "{octets} octets");
    Ok(octets)
}

#[test]
fn calls_of_each_kind() {
    run(|| calls(Routers::One, Encryption::Plain));
}

#[test]
fn calls_of_each_kind_with_tls() {
    run(|| calls(Routers::Two, Encryption::AtBothEnds));
}
