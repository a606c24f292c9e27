//! Connections of services that carry nothing for longer than they may.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{eventually, run};
use interop_tests::tcp::{Digest, ScriptedServer, connect, expect_fin, expect_reset, receive_exactly};
use interop_tests::topology::{Line, LineBuilder};

const IDLE: (&str, &str) = ("idleTimeoutSeconds", "1");
const HALF_CLOSED: (&str, &str) = ("halfClosedTimeoutSeconds", "1");

fn start(
    server: &ScriptedServer,
    listener: &[(&'static str, &'static str)],
    connector: &[(&'static str, &'static str)],
) -> Result<Line> {
    let builder = LineBuilder::ours(2)?.service("svc", 0, 1, server.address());
    builder.with_options(listener.to_vec(), connector.to_vec()).start()
}

/// Waits until so many connections were cut by the tcpListener and by the tcpConnector.
fn expect_cut(line: &Line, listener: u64, connector: u64) -> Result<()> {
    for (node, kind, expected) in [(line.first(), "tcpListener", listener), (line.last(), "tcpConnector", connector)] {
        eventually(&format!("{kind} has cut {expected}"), || {
            let rows = node.management()?.query(kind)?;
            let cut = rows[0]["connectionsTimedOut"].as_u64().context("a count")?;
            // On a busy machine a flow may carry nothing in time; then it is cut and sent again, and so another is.
            ensure!(cut >= expected && (cut > 0) == (expected > 0), "{rows:?}");
            Ok(())
        })?;
    }
    line.expect_no_errors(&[])
}

/// A client that says nothing to a server that waits for it.
fn silence(listener: &[(&'static str, &'static str)], connector: &[(&'static str, &'static str)]) -> Result<Line> {
    let server = ScriptedServer::start()?;
    server.script(|mut stream| expect_reset(&mut stream).map(|()| Digest::default()));
    let line = start(&server, listener, connector)?;
    let begun = Instant::now();
    expect_reset(&mut connect(line.listen_address("svc")?)?)?;
    ensure!(begun.elapsed() >= Duration::from_secs(1), "after {:?}", begun.elapsed());
    server.outcome()?;
    Ok(line)
}

#[test]
fn an_idle_connection_is_cut_by_its_listener() {
    run(|| expect_cut(&silence(&[IDLE], &[])?, 1, 0));
}

#[test]
fn an_idle_connection_is_cut_by_its_connector() {
    run(|| expect_cut(&silence(&[], &[IDLE])?, 0, 1));
}

#[test]
fn a_half_closed_connection_is_cut() {
    run(|| {
        let server = ScriptedServer::start()?;
        // Says that it will say no more, and waits in vain for the client to do so.
        server.script(|mut stream| {
            stream.write_all(b"bye")?;
            stream.shutdown(std::net::Shutdown::Write)?;
            expect_reset(&mut stream).map(|()| Digest::default())
        });
        let line = start(&server, &[HALF_CLOSED], &[])?;
        let mut client = connect(line.listen_address("svc")?)?;
        receive_exactly(&mut client, b"bye")?;
        expect_fin(&mut client)?;
        server.outcome()?;
        expect_cut(&line, 1, 0)
    });
}
