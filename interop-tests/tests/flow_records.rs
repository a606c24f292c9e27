//! What a collector learns of routers, services and flows, compared with what truly happened.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::collector::code::*;
use interop_tests::collector::{Collector, Record};
use interop_tests::harness::{Mark, Port, eventually, run};
use interop_tests::tcp::{Digest, ScriptedServer, connect, expect_reset, receive_exactly, reset};
use interop_tests::topology::{Line, LineBuilder};

/// How long the server thinks before it answers.
const THINKING: Duration = Duration::from_millis(30);

/// Reads a line, thinks, and says it three times; then waits for the end.
fn server(mut stream: TcpStream) -> Result<Digest> {
    let mut line = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet)? == 1 {
        line.push(octet[0]);
        if octet[0] == b'\n' {
            break;
        }
    }
    std::thread::sleep(THINKING);
    stream.write_all(&line.repeat(3))?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(Digest::default())
}

/// How much later than its peers a router may note that octets have gone: it looks at the clock after writing.
const NOTING: Duration = Duration::from_millis(20);

/// A line of so many octets, its end included.
fn line_of(octets: usize) -> Vec<u8> {
    let mut line = vec![b'x'; octets - 1];
    line.push(b'\n');
    line
}

/// What truly became of a flow.
struct Truth {
    port: u16,
    octets: u64,
    /// What its client waited for the whole answer.
    waited: Duration,
}

/// A client that says a line and has heard the answer.
fn talk(service: SocketAddr, octets: usize) -> Result<(TcpStream, Truth)> {
    let mut client = connect(service)?;
    let begun = Instant::now();
    client.write_all(&line_of(octets))?;
    receive_exactly(&mut client, &line_of(octets).repeat(3))?;
    let port = client.local_addr()?.port();
    Ok((client, Truth { port, octets: octets as u64, waited: begun.elapsed() }))
}

/// The record of a flow, which is to tell the truth.
fn checked<'a>(flows: &'a BTreeMap<String, Record>, truth: &Truth, trace: &str) -> Result<&'a Record> {
    let Truth { port, octets, waited } = truth;
    let mut found = flows.values().filter(|flow| flow.text(SOURCE_PORT) == port.to_string());
    let flow = found.next().with_context(|| format!("no flow of port {port} in {flows:#?}"))?;
    ensure!(found.next().is_none(), "two records of port {port}");
    ensure!(flow.number(OCTETS) == Some(*octets), "octets: {flow:?}");
    ensure!(flow.number(OCTETS_REVERSE) == Some(3 * octets), "octets back: {flow:?}");
    ensure!(flow.text(TRACE) == trace, "trace: {flow:?}");
    let (whole, server) = (flow.number(LATENCY), flow.number(PROCESS_LATENCY));
    let (whole, server) = whole.zip(server).with_context(|| format!("latencies: {flow:?}"))?;
    let [whole, server] = [whole, server].map(Duration::from_micros);
    let is_plausible = THINKING <= server + NOTING && server <= whole && whole <= *waited + NOTING;
    ensure!(is_plausible, "{THINKING:?} <= {server:?} <= {whole:?} <= {waited:?}");
    ensure!(!flow.text(PROXY_PORT).is_empty() && flow.text(CONNECTOR_REF).contains(':'), "{flow:?}");
    Ok(flow)
}

/// Starts a line of routers with a service from the first to the last.
fn start(routers: usize, server: SocketAddr) -> Result<(Line, Collector, SocketAddr)> {
    let line = LineBuilder::ours(routers)?.distribution("mc", "multicast").service("svc", 0, routers - 1, server);
    let line = line.start()?;
    line.wait_until_listening("svc", Mark::default())?;
    let collector = Collector::attach(line.first().amqp())?;
    collector.wait_for(ROUTER, routers, |router| router.number(START_TIME).is_some())?;
    let service = line.listen_address("svc")?;
    Ok((line, collector, service))
}

fn flows_through(routers: usize, trace: &str) -> Result<()> {
    let scripted = ScriptedServer::start()?;
    scripted.script(server);
    let (mut line, collector, service) = start(routers, scripted.address())?;
    // Ended in order, by a reset, and not at all.
    let mut ended = Vec::new();
    for octets in [10, 2000, 70_000] {
        let (client, truth) = talk(service, octets)?;
        ended.push(truth);
        client.shutdown(Shutdown::Both)?;
    }
    let (client, cut) = talk(service, 500)?;
    reset(client)?;
    let (_client, living) = talk(service, 600)?;
    let flows = collector.wait_for(BIFLOW_TPORT, 4, Record::has_ended)?;
    for truth in &ended {
        let flow = checked(&flows, truth, trace)?;
        ensure!(flow.text(ERROR_LISTENER_SIDE).is_empty() && flow.text(ERROR_CONNECTOR_SIDE).is_empty(), "{flow:?}");
    }
    let flow = checked(&flows, &cut, trace)?;
    ensure!(flow.text(ERROR_LISTENER_SIDE).contains("reset"), "{flow:?}");
    // Nothing says when all is told of a flow that goes on.
    let all = eventually("the living flow is told of", || {
        let all = collector.records(BIFLOW_TPORT)?;
        checked(&all, &living, trace)?;
        Ok(all)
    })?;
    ensure!(all.len() == 5, "{all:#?}");
    let flow = checked(&all, &living, trace)?;
    ensure!(!flow.has_ended());
    let listeners = collector.wait_for(LISTENER, 1, |listener| listener.number(FLOW_COUNT_L4) == Some(5))?;
    let connectors = collector.wait_for(CONNECTOR, 1, |connector| connector.number(FLOW_COUNT_L4) == Some(6))?;
    let ((listener_id, listener), (connector_id, connector)) =
        listeners.first_key_value().zip(connectors.first_key_value()).context("both")?;
    ensure!(flow.text(PARENT) == listener_id && flow.text(CONNECTOR_REF) == connector_id, "{flow:?}");
    ensure!(listener.text(VAN_ADDRESS) == "svc" && connector.text(VAN_ADDRESS) == "svc");
    // When the last router stops, all that it has recorded ends.
    if routers > 1 {
        let router = line.router_mut(routers - 1);
        let name = format!("0/{}", router.id());
        router.terminate()?;
        collector.wait_for(CONNECTOR, 1, Record::has_ended)?;
        collector.wait_for(ROUTER, 1, |router| router.text(NAME) == name && router.has_ended())?;
        collector.wait_for(BIFLOW_TPORT, 5, Record::has_ended)?;
    }
    Ok(())
}

#[test]
fn flows_through_one_router() {
    run(|| flows_through(1, "Local"));
}

#[test]
fn flows_through_two_routers() {
    run(|| {
        let first = "0/ours0";
        flows_through(2, first)
    });
}

#[test]
fn links_name_the_access_at_their_other_end() {
    run(|| {
        let scripted = ScriptedServer::start()?;
        let (_line, collector, _) = start(2, scripted.address())?;
        let accesses = collector.wait_for(ROUTER_ACCESS, 1, |access| access.number(LINK_COUNT) == Some(1))?;
        let links =
            collector.wait_for(LINK, 1, |link| link.text(OPER_STATUS) == "up" && link.number(OCTETS) > Some(0))?;
        let (access, link) = accesses.keys().next().zip(links.values().next()).context("both")?;
        ensure!(link.text(PEER) == access, "{link:?} to {access}");
        Ok(())
    });
}

#[test]
fn a_flow_that_reached_no_server_says_why() {
    run(|| {
        let dead = Port::reserve()?;
        let (_line, collector, service) = start(2, dead.address())?;
        let begun = Instant::now();
        let mut client = connect(service)?;
        expect_reset(&mut client)?;
        let flows = collector.wait_for(BIFLOW_TPORT, 1, Record::has_ended)?;
        let flow = flows.values().next().context("one")?;
        ensure!(flow.text(ERROR_LISTENER_SIDE) == "delivery-failed (destination unreachable)", "{flow:?}");
        let refused = format!("proton:io (Connection refused - on connect {})", dead.address());
        ensure!(flow.text(ERROR_CONNECTOR_SIDE) == refused, "{flow:?}");
        let times = flow.number(START_TIME).zip(flow.number(END_TIME)).context("both")?;
        ensure!(Duration::from_micros(times.1 - times.0) < begun.elapsed(), "{times:?}");
        Ok(())
    });
}

#[test]
fn every_flow_of_a_rush_is_told_of_once() {
    run(|| {
        let scripted = ScriptedServer::start()?;
        scripted.script(|mut stream| {
            std::io::copy(&mut stream.try_clone()?, &mut stream)?;
            Ok(Digest::default())
        });
        let (_line, collector, service) = start(2, scripted.address())?;
        let count = 600;
        let mut ports = Vec::new();
        for n in 0..count {
            let mut client = connect(service)?;
            client.write_all(&line_of(n % 50 + 1))?;
            receive_exactly(&mut client, &line_of(n % 50 + 1))?;
            ports.push((client.local_addr()?.port(), (n % 50 + 1) as u64));
        }
        let flows = collector.wait_for(BIFLOW_TPORT, count, Record::has_ended)?;
        let told: usize = flows.values().map(|flow| flow.updates).sum();
        ensure!(told < 2 * count, "{told} updates of {count} short flows");
        let octets: u64 = flows.values().filter_map(|flow| flow.number(OCTETS)).sum();
        ensure!(octets == ports.iter().map(|(_, octets)| octets).sum::<u64>(), "{octets}");
        ensure!(flows.values().all(|flow| flow.number(PROCESS_LATENCY) <= flow.number(LATENCY)));
        Ok(())
    });
}
