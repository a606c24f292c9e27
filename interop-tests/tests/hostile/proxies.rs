//! Connectors through forward proxies that misbehave, more than a hundred at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Entity, Management, eventually, run};
use interop_tests::hostile::proxies::Manner;
use interop_tests::hostile::{Limits, Watch};
use interop_tests::scenarios::tcp::Stage;
use interop_tests::topology::LineBuilder;

/// Connectors through each proxy.
const CONNECTORS: usize = 8;
/// What they may cost a router. Each tells of its fault once, and those that get through of their connection.
const LIMITS: Limits = Limits { growth_kib: 64 * 1024, lines: 1500, lines_a_second: 30, longest: 2000 };
/// How long a client may wait meanwhile.
const CANARY_WAIT: Duration = Duration::from_secs(10);

#[test]
fn proxies_misbehave() {
    run(|| {
        let mut stage = Stage::start(LineBuilder::ours(2)?, 0, 1)?;
        {
            let (first, last) = (stage.line.first(), stage.line.last());
            let mut management = first.management()?;
            let watches = [Watch::new(&first.router)?, Watch::new(&last.router)?];
            for manner in Manner::ALL {
                connect(&mut management, manner, last.amqp())?;
            }
            let mut far = last.management()?;
            let from_afar = format!("_topo/0/{}/$management", first.router.id());
            let mut canaries = || {
                watches[0].canary("TCP service", CANARY_WAIT, || stage.echo())?;
                watches[0].canary("from afar", CANARY_WAIT, || far.query_at(&from_afar, "router").map(drop))
            };
            let end = Instant::now() + super::duration();
            while Instant::now() < end {
                canaries()?;
            }
            eventually("all connectors tell how they fare", || {
                let rows = management.query("connector")?;
                Manner::ALL.into_iter().try_for_each(|manner| check(&rows, manner))
            })?;
            canaries()?;
            for manner in Manner::ALL {
                (0..CONNECTORS).try_for_each(|n| management.delete("connector", &name(manner, n)))?;
            }
            eventually("nothing is left of them", || {
                let rows = last.management()?.query("connection")?;
                let left = rows.iter().filter(|row| row["container"] == first.router.id() && row["role"] == "normal");
                ensure!(left.count() == 0, "{rows:?}");
                Ok(())
            })?;
            watches.iter().try_for_each(|watch| watch.verdict(LIMITS, ""))?;
        }
        stage.line.router_mut(0).expect_alive()?;
        stage.line.router_mut(1).expect_alive()
    });
}

fn name(manner: Manner, number: usize) -> String {
    format!("{manner:?}-{number}")
}

/// Starts a proxy, and has connectors go through it.
fn connect(management: &mut Management, manner: Manner, server: std::net::SocketAddr) -> Result<()> {
    let profile = format!("proxy-{manner:?}");
    let proxy_port = manner.start(server)?.port().to_string();
    management.create("proxyProfile", &profile, &[("host", "127.0.0.1"), ("port", &proxy_port)])?;
    let port = server.port().to_string();
    let attributes = [
        ("host", "127.0.0.1"),
        ("port", port.as_str()),
        ("proxyProfile", profile.as_str()),
        ("saslMechanisms", "ANONYMOUS"),
        ("idleTimeoutSeconds", "4"),
    ];
    (0..CONNECTORS).try_for_each(|number| management.create("connector", &name(manner, number), &attributes))
}

/// Fails unless all connectors through a proxy of that manner say what is wrong with it, or have got through.
fn check(rows: &[Entity], manner: Manner) -> Result<()> {
    for number in 0..CONNECTORS {
        let name = name(manner, number);
        let row = rows.iter().find(|row| row["name"] == name.as_str()).context("no such connector")?;
        let told = row["connectionMsg"].as_str().unwrap_or_default();
        let is_right = match manner.fault() {
            None => row["connectionStatus"] == "SUCCESS",
            Some(fault) => row["connectionStatus"] != "SUCCESS" && told.contains(fault),
        };
        ensure!(is_right, "{name}: {} {told}", row["connectionStatus"]);
    }
    Ok(())
}
