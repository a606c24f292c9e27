//! A resolver that does not answer holds up neither messages nor neighbours.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::harness::{Binary, Level, Log, Mark, Port, Skip, run};
use interop_tests::topology::LineBuilder;

/// How long a message may take there and back; the resolver gives up after twice as long.
const BOUND: Duration = Duration::from_secs(4);

/// Runs a program in a mount namespace where another file is the resolver's configuration.
const WITH_RESOLVER: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

#[test]
fn a_silent_resolver_holds_nobody_up() {
    run(holds_nobody_up);
}

fn holds_nobody_up() -> Result<()> {
    let nameserver = Ipv4Addr::new(127, 77, 0, 1);
    let _silent = UdpSocket::bind((nameserver, 53)).map_err(|error| Skip(format!("no name server: {error}")))?;
    let folder = tempfile::tempdir()?;
    let resolver = folder.path().join("resolv.conf");
    fs::write(&resolver, format!("nameserver {nameserver}\noptions timeout:4 attempts:2\n"))?;
    let resolver = resolver.display().to_string();
    let launcher = ["--mount", "sh", "-c", WITH_RESOLVER, &resolver];
    let possible = Command::new("unshare").args(launcher).arg("true").output().is_ok_and(|o| o.status.success());
    if !possible {
        return Err(Skip("no mount namespaces".to_owned()).into());
    }

    let ours = Binary::ours()?;
    let line = LineBuilder::new([ours.launched_by("unshare", &launcher), ours]).start()?;
    line.wait_until_joined()?;
    let (first, last) = (line.first(), line.last());
    // What is asked of the second router passes through the first one, and only its messages do.
    let through = format!("_topo/0/{}/$management", last.router.id());
    let mut traveller = first.management()?;
    let mut manager = first.management()?;
    let port = Port::reserve()?;
    for name in ["one", "two", "three"] {
        let host = format!("{name}.no.such.host");
        let started = Instant::now();
        manager.create("listener", name, &[("host", &host), ("port", &port.number().to_string())])?;
        ensure!(started.elapsed() < BOUND, "the answer took {:?}", started.elapsed());
    }
    let log = first.router.log();
    let over = |line: &String| line.contains("Listener error on three.no.such.host");
    while !log.lines(Mark::default(), Level::Error).iter().any(over) {
        let started = Instant::now();
        traveller.query_at(&through, "router")?;
        ensure!(started.elapsed() < BOUND, "a message took {:?}", started.elapsed());
    }
    let neighbours = manager.query("router.node")?.len();
    ensure!(neighbours == 2, "{neighbours} routers know each other");
    let lost = [first, last].iter().any(|node| log_has(node.router.log(), "local-idle-timeout"));
    ensure!(!lost, "the connection between the routers was lost");
    Ok(())
}

fn log_has(log: &Log, text: &str) -> bool {
    log.lines(Mark::default(), Level::Error).iter().any(|line| line.contains(text))
}
