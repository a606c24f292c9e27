//! Logins that go wrong on purpose, at a listener that asks for them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Binary, Level, Management, Port, Router, RouterConfig, eventually, run};
use interop_tests::hostile::sasl::{Abuse, STRANGER, SaslAttack, log_in};
use interop_tests::hostile::{Limits, Watch};
use interop_tests::sasldb::{PASSWORD, USER, config, folder};

/// How long a decent login may take meanwhile.
const LOGIN_WAIT: Duration = Duration::from_secs(10);
/// The listener's limit for logins.
const LOGIN_LIMIT: Duration = Duration::from_secs(5);
/// What it may cost the router. The attackers are one host.
const LIMITS: Limits = Limits { growth_kib: 64 * 1024, lines: 700, lines_a_second: 60, longest: 2000 };

#[test]
fn logins_are_abused() {
    run(abuse);
}

fn abuse() -> Result<()> {
    let folder = folder("PLAIN SCRAM-SHA-256")?;
    let [guarded, free, own] = [Port::reserve()?, Port::reserve()?, Port::reserve()?];
    let numbers = [&guarded, &free, &own].map(|port| port.number().to_string());
    let limit = LOGIN_LIMIT.as_secs().to_string();
    let listener = |port| [("host", "127.0.0.1"), ("port", port)];
    let mut asking = listener(numbers[0].as_str()).to_vec();
    asking.extend([("authenticatePeer", "yes"), ("initialHandshakeTimeoutSeconds", limit.as_str())]);
    let server = config("server", folder.path())
        .section("listener", &asking)
        .section("listener", &listener(numbers[1].as_str()));
    let mut server = Router::start(&Binary::ours()?, &server, folder.path())?;
    // Its connector logs in with SCRAM.
    let client = RouterConfig::standalone("client").section("listener", &listener(numbers[2].as_str()));
    let client = Router::start(&Binary::ours()?, &client, folder.path())?;

    let mut old = Management::connect(free.address())?;
    let mut at_client = Management::connect(own.address())?;
    let watch = Watch::new(&server)?;
    let attackers = Abuse {
        address: guarded.address(),
        user: USER,
        duration: super::duration(),
        seed: super::seed(),
        login_limit: LOGIN_LIMIT,
    };
    let count = attackers.commit(|| {
        watch.canary("a login with PLAIN", LOGIN_WAIT, || log_in(guarded.address(), USER, PASSWORD))?;
        watch.canary("a login with SCRAM", LOGIN_WAIT, || connect(&mut at_client, &numbers[0]))?;
        watch.canary("a connection that is there", LOGIN_WAIT, || old.query("router").map(drop))
    })?;
    println!("{count:?}");
    ensure!(count.len() == SaslAttack::ALL.len(), "only {count:?}");

    eventually("the attackers are forgotten", || {
        let rows = old.query("connection")?;
        let strangers = rows.iter().filter(|row| is_stranger(row["host"].as_str())).count();
        ensure!(strangers == 0, "{strangers} of {} connections", rows.len());
        Ok(())
    })?;
    let lines = server.log().lines(watch.mark(), Level::Info);
    ensure!(!lines.iter().any(|line| line.contains(PASSWORD)), "the password is in the log");
    let refusals =
        lines.iter().filter(|line| line.contains(" failed: ") && line.contains("127.0.0.66:")).count() as u64;
    let attacks: u64 = count.values().sum();
    ensure!(refusals > 0 && refusals <= attacks + 300, "{refusals} lines about {attacks} attacks");
    watch.verdict(LIMITS, "")?;
    drop((client, old));
    server.expect_alive()
}

fn is_stranger(host: Option<&str>) -> bool {
    host.is_some_and(|host| host.starts_with(&STRANGER.to_string()))
}

/// Has the client's router log in once more.
fn connect(client: &mut Management, port: &str) -> Result<()> {
    let attributes = [
        ("host", "127.0.0.1"),
        ("port", port),
        ("saslUsername", USER),
        ("saslPassword", PASSWORD),
        ("saslMechanisms", "SCRAM-SHA-256"),
    ];
    client.create("connector", "up", &attributes)?;
    eventually("the connector has logged in", || {
        let row = client.query("connector")?.into_iter().next().context("no connector")?;
        ensure!(row["connectionStatus"] == "SUCCESS", "{row:?}");
        Ok(())
    })?;
    client.delete("connector", "up")
}
