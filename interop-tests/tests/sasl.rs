//! SASL with Cyrus's library: clients of Proton at the router, and the router and the C router at each other. Users are in a
//! database that Cyrus's own command has made.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::script;
use interop_tests::harness::{Binary, Level, Mark, Port, Router, RouterConfig, output_of, run, skip_unless};
use interop_tests::sasldb::{PASSWORD, USER, config, folder};
use tempfile::TempDir;

const SCRAM: [&str; 3] = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// A router whose clients have to log in.
fn server(binary: &Binary, folder: &Path) -> Result<(Router, Port)> {
    let port = Port::reserve()?;
    let number = port.number().to_string();
    let listener = [("host", "127.0.0.1"), ("port", number.as_str()), ("authenticatePeer", "yes")];
    let config = config("server", folder).section("listener", &listener);
    Ok((Router::start(binary, &config, folder)?, port))
}

/// How a client of Proton fares.
fn login(port: &Port, mechanism: &str, user: &str, password: &str) -> Result<String> {
    let mut command = script("proton", "sasl.py")?;
    command.args([&port.address().to_string(), mechanism, user, password]);
    let told = String::from_utf8(output_of(&mut command, &[])?)?;
    skip_unless((!told.contains("no library")).then_some(told), "Proton was built without Cyrus SASL")
}

#[test]
fn clients_of_cyrus_log_in() {
    run(|| {
        let folder = folder(&format!("PLAIN {}", SCRAM.join(" ")))?;
        let (router, port) = server(&Binary::ours()?, folder.path())?;
        for mechanism in SCRAM.into_iter().chain(["PLAIN"]) {
            let told = login(&port, mechanism, USER, PASSWORD)?;
            ensure!(told.contains("accepted"), "{mechanism}: {told}");
            for (user, password) in [(USER, "password"), ("eve@domain.com", PASSWORD), ("test", PASSWORD)] {
                let mark = router.log().mark();
                let told = login(&port, mechanism, user, password)?;
                ensure!(told.contains("refused"), "{mechanism} {user}: {told}");
                let line = format!("authentication failure (Failed to authenticate client [mech={mechanism}])");
                router.log().wait_for(mark, &line)?;
            }
        }
        Ok(())
    });
}

/// A router that logs in at another.
fn client(binary: &Binary, server: &Port, password: &str, mechanisms: &str) -> Result<(Router, TempDir)> {
    let folder = tempfile::tempdir()?;
    let number = server.number().to_string();
    let connector = [
        ("host", "127.0.0.1"),
        ("port", number.as_str()),
        ("saslUsername", USER),
        ("saslPassword", password),
        ("saslMechanisms", mechanisms),
    ];
    let log = [("module", "ROUTER_CORE"), ("enable", "debug+")];
    let config = RouterConfig::standalone("client").section("connector", &connector).section("log", &log);
    let router = Router::start(binary, &config, folder.path())?;
    Ok((router, folder))
}

fn expect_login(client: &Binary, server_binary: &Binary, mechanisms: &str, used: &str) -> Result<()> {
    let folder = folder(&format!("ANONYMOUS PLAIN {}", SCRAM.join(" ")))?;
    let (_server, port) = server(server_binary, folder.path())?;
    let (router, _folder) = self::client(client, &port, PASSWORD, mechanisms)?;
    router.log().wait_for(Mark::default(), &format!("auth={used} user={USER}"))?;
    let (router, _folder) = self::client(client, &port, "wrong", mechanisms)?;
    router.log().wait_for(Mark::default(), &format!("Authentication failed [mech={used}]"))?;
    Ok(())
}

fn expect_all(client: &Binary, server: &Binary) -> Result<()> {
    for mechanism in SCRAM {
        expect_login(client, server, mechanism, mechanism).with_context(|| mechanism.to_owned())?;
    }
    Ok(())
}

#[test]
fn a_connector_logs_in() {
    run(|| {
        let ours = Binary::ours()?;
        expect_all(&ours, &ours)?;
        // Of all that is offered.
        expect_login(&ours, &ours, "PLAIN SCRAM-SHA-1 SCRAM-SHA-512 ANONYMOUS", "SCRAM-SHA-512")
    });
}

#[test]
fn a_connector_logs_in_at_the_c_router() {
    run(|| expect_all(&Binary::ours()?, &Binary::upstream()?));
}

#[test]
fn a_connector_of_the_c_router_logs_in() {
    run(|| expect_all(&Binary::upstream()?, &Binary::ours()?));
}

/// A server that lets everybody in is not the one that knows the password.
#[test]
fn a_connector_does_not_take_a_servers_word() {
    run(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port().to_string();
        let connector =
            [("host", "127.0.0.1"), ("port", port.as_str()), ("saslUsername", USER), ("saslPassword", PASSWORD)];
        let folder = tempfile::tempdir()?;
        let config = RouterConfig::standalone("client").section("connector", &connector);
        let router = Router::start(&Binary::ours()?, &config, folder.path())?;
        let (mut socket, _) = listener.accept()?;
        // Header; mechanisms: SCRAM-SHA-256; outcome: ok.
        socket.write_all(b"AMQP\x03\x01\x00\x00")?;
        socket.write_all(b"\x00\x00\x00\x1d\x02\x01\x00\x00\x00\x53\x40\xc0\x10\x01\xa3\x0dSCRAM-SHA-256")?;
        socket.write_all(b"\x00\x00\x00\x10\x02\x01\x00\x00\x00\x53\x44\xc0\x03\x01\x50\x00")?;
        let line = "the server has not proven that it knows the password (Authentication failed [mech=SCRAM-SHA-256])";
        router.log().wait_for(Mark::default(), line)?;
        let shown = router.log().lines(Mark::default(), Level::Info);
        ensure!(!shown.iter().any(|line| line.contains(PASSWORD)), "the password is in the log");
        Ok(())
    });
}
