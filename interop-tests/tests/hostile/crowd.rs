//! A thousand clients where the rules of a vhost let few in.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Binary, Management, Port, Router, eventually, run};
use interop_tests::hostile::crowd::{Crowd, Kind};
use interop_tests::hostile::{Limits, Watch};
use interop_tests::sasldb::{PASSWORD, USER, config, folder};

const CLIENTS: usize = 1000;
/// How long somebody else's request may take meanwhile.
const CANARY_WAIT: Duration = Duration::from_secs(10);
/// What it may cost the router.
const LIMITS: Limits = Limits { growth_kib: 150 * 1024, lines: 6000, lines_a_second: 500, longest: 2000 };

const GROUPS: &str = r#"{
        "$default": {"remoteHosts": "*", "sources": "*", "targets": "*", "allowDynamicSource": true}
    }"#;

#[test]
fn a_crowd_comes_where_few_are_let_in() {
    run(|| {
        let folder = folder("ANONYMOUS PLAIN")?;
        let ports = [(); 4].map(|()| Port::reserve());
        let [total, hosts, users, free] = ports;
        let (total, hosts, users, free) = (total?, hosts?, users?, free?);
        let mut router = start(folder.path(), [&total, &hosts, &users, &free])?;
        let crowds = [
            ("total", Crowd::new(total.address(), Kind::Everybody, 50)),
            ("hosts", Crowd::new(hosts.address(), Kind::Hosts(20), 10)),
            ("users", Crowd::new(users.address(), Kind::Users(USER, PASSWORD), 7)),
        ];
        let mut old = Management::connect(free.address())?;
        let watch = Watch::new(&router)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;

        let mut canary = || watch.canary("another connection", CANARY_WAIT, || old.query("router").map(drop));
        for (name, crowd) in &crowds {
            let come = runtime.spawn({
                let crowd = crowd.clone();
                async move { crowd.come_at_once(CLIENTS).await }
            });
            while !come.is_finished() {
                canary()?;
            }
            runtime.block_on(come)?.with_context(|| format!("all at once, {name}"))?;
        }
        let churns: Vec<_> = crowds
            .iter()
            .map(|(_, crowd)| {
                let (crowd, duration, seed) = (crowd.clone(), super::duration(), super::seed());
                runtime.spawn(async move { crowd.churn(CLIENTS / 3, duration, seed).await })
            })
            .collect();
        while !churns.iter().all(tokio::task::JoinHandle::is_finished) {
            canary()?;
        }
        for churn in churns {
            runtime.block_on(churn)?.context("coming and going")?;
        }
        eventually("the figures are right", || check_figures(&mut old, &crowds))?;
        // Nobody's place was lost.
        runtime.block_on(crowds[0].1.come_at_once(CLIENTS))?;
        eventually("the figures are right again", || check_figures(&mut old, &crowds))?;
        for (name, crowd) in &crowds {
            println!("{name}: {:?}", crowd.seen());
        }
        watch.verdict(LIMITS, "")?;
        router.expect_alive()
    });
}

fn start(folder: &std::path::Path, ports: [&Port; 4]) -> Result<Router> {
    let vhosts = [
        ("total", ("maxConnections", "50")),
        ("hosts", ("maxConnectionsPerHost", "10")),
        ("users", ("maxConnectionsPerUser", "7")),
        ("free", ("maxConnections", "10")),
    ];
    let mut config = config("P", folder).section("policy", &[("enableVhostPolicy", "true")]);
    for ((name, limit), port) in vhosts.into_iter().zip(ports) {
        let number = port.number().to_string();
        config = config
            .section("listener", &[("host", "127.0.0.1"), ("port", &number), ("policyVhost", name)])
            .section("vhost", &[("hostname", name), limit, ("allowUnknownUser", "true"), ("groups", GROUPS)]);
    }
    Router::start(&Binary::ours()?, &config, folder)
}

fn check_figures(management: &mut Management, crowds: &[(&str, Crowd)]) -> Result<()> {
    let vhosts = management.query("vhostStats")?;
    for (name, crowd) in crowds {
        let row = vhosts.iter().find(|row| row["hostname"] == *name).context("no such vhost")?;
        let seen = crowd.seen();
        for (column, wanted) in
            [("connectionsApproved", seen.admitted), ("connectionsDenied", seen.refused), ("connectionsCurrent", 0)]
        {
            ensure!(row[column] == wanted, "{name}: {column} is {} and not {wanted}", row[column]);
        }
        for column in ["perUserState", "perHostState"] {
            ensure!(row[column] == serde_json::json!({}), "{name}: {column} is {}", row[column]);
        }
    }
    Ok(())
}
