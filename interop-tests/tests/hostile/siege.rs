//! Hostile input at every kind of listener. `INTEROP_HOSTILE_TARGETS` says which listeners (all), for instance
//! `amqp,router`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Level, Management, run};
use interop_tests::hostile::{Siege, Target};
use interop_tests::scenarios::tcp::Stage;
use interop_tests::topology::{LineBuilder, Node};

/// Memory that a siege may add to a router.
const GROWTH_KIB: u64 = 200 * 1024;

/// How long a decent client may wait while the siege is on.
const CANARY_WAIT: Duration = Duration::from_secs(20);

#[test]
fn two_routers_under_siege() {
    run(under_siege);
}

fn under_siege() -> Result<()> {
    let mut stage = Stage::start(LineBuilder::ours(2)?, 0, 1)?;
    let besieged = stage.line.first();
    let files = stage.line.certificates();
    let mut targets = vec![
        Target::plain("amqp", besieged.amqp()),
        Target::plain("amqps-raw", besieged.amqps()),
        Target::tls("amqps", besieged.amqps(), files)?,
        Target::plain("router-raw", besieged.inter_router()),
        Target::tls("router", besieged.inter_router(), files)?,
        // Nobody serves it, so that the bytes end in the routers.
        Target::plain("tcp", stage.line.listen_address("dead")?),
    ];
    if let Ok(wanted) = std::env::var("INTEROP_HOSTILE_TARGETS") {
        targets.retain(|target| wanted.split(',').any(|name| name == target.name()));
        ensure!(!targets.is_empty(), "no target of {wanted}");
    }
    stage.echo()?;
    let before = besieged.router.resident_kib()?;
    let highest = Cell::new(before);
    let slowest = Cell::new(Duration::ZERO);
    let mark = besieged.router.log().mark();
    let mut management = besieged.management()?;
    let canaries = || {
        let start = Instant::now();
        stage.echo().context("TCP service")?;
        stage.line.last().management()?.query_at("_topo/0/ours0/$management", "router").context("from afar")?;
        management.query("router").context("old connection")?;
        slowest.set(slowest.get().max(start.elapsed()));
        highest.set(highest.get().max(besieged.router.resident_kib()?));
        ensure!(start.elapsed() < CANARY_WAIT, "a decent client waited {:?}", start.elapsed());
        Ok(())
    };
    let report = Siege::new(targets, super::duration(), super::seed()).lay(canaries)?;
    println!("{report}");
    println!("slowest canary {:?}, memory {before} KiB before, {} KiB at most", slowest.get(), highest.get());

    settled(&mut besieged.management()?, besieged)?;
    stage.echo().context("TCP service after the siege")?;
    let complaints = besieged.router.log().lines(mark, Level::Warning);
    let critical: Vec<_> = complaints.iter().filter(|line| Level::of(line) == Level::Critical).collect();
    ensure!(critical.is_empty(), "{critical:?}");
    // Refused links are logged one by one, as the C router does.
    let lines = complaints.iter().filter(|line| !line.contains(" attach forbidden on ")).count() as u64;
    let bad = report.total();
    println!("{lines} complaints in the log");
    ensure!(lines <= bad, "{lines} complaints about {bad} connections");
    ensure!(highest.get() < before + GROWTH_KIB, "{before} KiB became {} KiB", highest.get());
    stage.line.router_mut(0).expect_alive()?;
    stage.line.router_mut(1).expect_alive()
}

/// Waits until nothing is left of the attackers' connections.
fn settled(management: &mut Management, node: &Node) -> Result<()> {
    interop_tests::harness::eventually("the attackers are forgotten", || {
        let rows = management.query("connection")?;
        let strangers = rows.iter().filter(|row| row["container"] == "intruder").count();
        ensure!(strangers == 0, "{strangers} connections of {} at {}", rows.len(), node.router.id());
        Ok(())
    })
}
