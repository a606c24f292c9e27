//! What a collector learns of the HTTP requests of real clients and servers, compared with what they say themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage};
use interop_tests::collector::code::*;
use interop_tests::collector::{Collector, Record};
use interop_tests::harness::eventually;
use interop_tests::topology::LineBuilder;

mod curl;
mod grpc;
mod http1;
mod http2;

/// What is certain of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    protocol: String,
    method: String,
    result: String,
    /// Octets of the bodies of request and answer.
    octets: [u64; 2],
}

/// Routers, and a collector of what they tell.
struct Scene {
    stage: Stage,
    collector: Collector,
    opened: Instant,
}

// === impl Request ===

impl Request {
    fn new(protocol: &str, method: &str, result: u16, octets: [u64; 2]) -> Self {
        let [protocol, method] = [protocol, method].map(str::to_owned);
        Self { protocol, method, result: result.to_string(), octets }
    }

    fn of(record: &Record) -> Self {
        let [protocol, method, result] = [PROTOCOL, METHOD, RESULT].map(|code| record.text(code).to_owned());
        // Octets are told once there are any.
        let octets = [OCTETS, OCTETS_REVERSE].map(|code| record.number(code).unwrap_or(0));
        Self { protocol, method, result, octets }
    }
}

// === impl Scene ===

impl Scene {
    /// Starts routers and a collector.
    fn open(routers: Routers, encryption: Encryption) -> Result<Self> {
        let opened = Instant::now();
        let line = LineBuilder::new(routers.binaries()?).distribution("mc", "multicast");
        let stage = Stage::of(line, routers, encryption)?;
        let collector = Collector::attach(stage.line.first().amqp())?;
        let count = stage.line.nodes().len();
        collector.wait_for(ROUTER, count, |router| router.number(START_TIME).is_some())?;
        Ok(Self { stage, collector, opened })
    }

    /// Waits until so many flows have ended, and all requests; these have to be the expected ones. Their records.
    fn expect(&self, flows: usize, expected: Vec<Request>) -> Result<Vec<Record>> {
        let ended = self.collector.wait_for(BIFLOW_TPORT, flows, Record::has_ended)?;
        self.expect_within(&ended, expected)
    }

    /// The same while the flows go on.
    fn expect_meanwhile(&self, flows: usize, expected: Vec<Request>) -> Result<Vec<Record>> {
        let all = self.collector.wait_for(BIFLOW_TPORT, flows, |_| true)?;
        self.expect_within(&all, expected)
    }

    fn expect_within(&self, flows: &BTreeMap<String, Record>, mut expected: Vec<Request>) -> Result<Vec<Record>> {
        let requests = eventually(&format!("{} requests have ended", expected.len()), || {
            let requests: Vec<_> = self.collector.records(BIFLOW_APP)?.into_values().collect();
            let ended = requests.iter().filter(|request| request.has_ended()).count();
            ensure!(ended == requests.len() && ended >= expected.len(), "{ended} of {}", requests.len());
            Ok(requests)
        })?;
        let mut seen: Vec<_> = requests.iter().map(Request::of).collect();
        seen.sort_unstable();
        expected.sort_unstable();
        ensure!(seen == expected, "{}", differences(&seen, &expected));
        requests.iter().try_for_each(|request| self.check(request, flows))?;
        self.stage.expect_no_errors()?;
        Ok(requests)
    }

    /// What holds for every request.
    fn check(&self, request: &Record, flows: &BTreeMap<String, Record>) -> Result<()> {
        ensure!(flows.contains_key(request.text(PARENT)), "of no flow: {request:?}");
        let latency = request.number(LATENCY).context("no latency")?;
        ensure!(Duration::from_micros(latency) < self.opened.elapsed(), "latency: {request:?}");
        ensure!(request.number(STREAM_ID).is_some() == (request.text(PROTOCOL) == "HTTP/2"), "stream: {request:?}");
        Ok(())
    }
}

/// What only one of them has, as long messages help nobody.
fn differences(seen: &[Request], expected: &[Request]) -> String {
    let count = |all: &[Request], wanted: &Request| all.iter().filter(|request| *request == wanted).count();
    let kinds: BTreeSet<_> = seen.iter().chain(expected).collect();
    let differing = kinds.into_iter().filter(|kind| count(seen, kind) != count(expected, kind));
    let lines = differing.map(|kind| format!("{} instead of {}: {kind:?}", count(seen, kind), count(expected, kind)));
    lines.take(20).collect::<Vec<_>>().join("\n")
}
