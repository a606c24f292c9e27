//! A neighbour that lies about the network, beside two routers that do not.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Management, eventually_within, run};
use interop_tests::hostile::liar::{LIE, Liar, Lie, Victims};
use interop_tests::hostile::{Dice, Limits, Watch};
use interop_tests::scenarios::tcp::Stage;
use interop_tests::topology::{Dialler, LineBuilder, Security};

/// What liars may cost a router. The ways to all routers are in one line of the log.
const LIMITS: Limits = Limits { growth_kib: 600 * 1024, lines: 700, lines_a_second: 100, longest: 80_000 };
/// What of the memory may be used for good.
const KEPT_KIB: u64 = 150 * 1024;
/// How long a client may wait meanwhile.
const CANARY_WAIT: Duration = Duration::from_secs(10);
/// By when a liar that has gone is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(40);

#[test]
fn a_neighbour_lies() {
    run(lied_to);
}

fn lied_to() -> Result<()> {
    let line = LineBuilder::ours(2)?.joined(Security::Plain, Dialler::Right);
    // What is not renewed is forgotten sooner than by default.
    let line = line.router_options([
        ("remoteLsMaxAgeSeconds", "8"),
        ("raIntervalSeconds", "3"),
        ("raIntervalFluxSeconds", "1"),
    ]);
    let mut stage = Stage::start(line, 0, 1)?;
    let victim = stage.line.first();
    let victims = Victims {
        address: victim.inter_router(),
        near: victim.router.id().to_owned(),
        far: stage.line.last().router.id().to_owned(),
        service: "scripted".to_owned(),
    };
    let watches = [Watch::new(&victim.router)?, Watch::new(&stage.line.last().router)?];
    let mut management = victim.management()?;
    let mut count = BTreeMap::new();
    for round in 0..2 {
        lie(&stage, &victims, &watches[0], super::seed() + round, &mut count)?;
        eventually_within(FORGOTTEN, "all lies are forgotten", || check_forgotten(&mut management, &victims))?;
        stage.echo().context("TCP service after the lies")?;
    }
    println!("{count:?}");
    ensure!(wanted().iter().all(|lie| count.contains_key(lie)), "some lies were not told: {count:?}");
    let left = victim.router.resident_kib()?;
    println!("{left} KiB are left");
    for watch in &watches {
        watch.verdict(LIMITS, "Detected Neighbor Router with a Duplicate ID")?;
    }
    watches[0].expect_growth(KEPT_KIB)?;
    stage.line.router_mut(0).expect_alive()?;
    stage.line.router_mut(1).expect_alive()
}

/// Lets liars loose, while the honest routers are at work.
fn lie(stage: &Stage, victims: &Victims, watch: &Watch<'_>, seed: u64, count: &mut BTreeMap<Lie, u64>) -> Result<()> {
    let end = Instant::now() + super::duration();
    let mut far = stage.line.last().management()?;
    let from_afar = format!("_topo/0/{}/$management", victims.near);
    let mut near = stage.line.first().management()?;
    let lies = |id: &str, lies: &[Lie], mut count: BTreeMap<Lie, u64>| {
        let mut dice = Dice::new(seed);
        while Instant::now() < end {
            Liar::connect(victims, id)?.lie(lies, end, &mut dice, &mut count)?;
        }
        anyhow::Ok(count)
    };
    let (lies, all) = (&lies, wanted());
    thread::scope(|scope| {
        let before = count.clone();
        let liar = scope.spawn(|| lies("liar", &all, before));
        // These say who they are not from their first frame on; neither takes the place of who is there.
        let impostors =
            [&victims.far, &victims.near].map(|id| scope.spawn(move || lies(id, &[Lie::OthersHello], BTreeMap::new())));
        while Instant::now() < end {
            watch.canary("TCP service", CANARY_WAIT, || stage.echo())?;
            watch.canary("from afar", CANARY_WAIT, || far.query_at(&from_afar, "router").map(drop))?;
            watch.canary("from near", CANARY_WAIT, || near.query("router").map(drop))?;
        }
        for impostor in impostors {
            impostor.join().map_err(|_| anyhow::anyhow!("an impostor panicked"))??;
        }
        *count = liar.join().map_err(|_| anyhow::anyhow!("the liar panicked"))??;
        anyhow::Ok(())
    })
}

/// The lies of `INTEROP_HOSTILE_LIES`, or all.
fn wanted() -> Vec<Lie> {
    let names = std::env::var("INTEROP_HOSTILE_LIES").ok();
    let is_wanted =
        |lie: &Lie| names.as_ref().is_none_or(|names| names.split(',').any(|name| name == format!("{lie:?}")));
    Lie::ALL.into_iter().filter(is_wanted).collect()
}

/// Fails while the router knows anything of what was said.
fn check_forgotten(management: &mut Management, victims: &Victims) -> Result<()> {
    let nodes = management.query("router.node")?;
    let strangers =
        nodes.iter().filter(|row| ![&victims.near, &victims.far].iter().any(|id| row["id"] == **id)).count();
    ensure!(strangers == 0, "{strangers} routers that are none");
    ensure!(nodes.len() == 2, "{nodes:?}");
    let addresses = management.query("router.address")?;
    let lies = addresses.iter().filter(|row| row["name"].as_str().is_some_and(|name| name.contains(LIE))).count();
    ensure!(lies == 0, "{lies} of {} addresses", addresses.len());
    Ok(())
}
