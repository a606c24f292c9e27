//! Certificates between routers are rotated under traffic, and no flow notices.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Entity, eventually, run};
use interop_tests::tcp::{ScriptedServer, connect, echo, receive_exactly};
use interop_tests::topology::{LineBuilder, Node};

/// The profile that the routers of a line share.
const PROFILE: &str = "mesh";
/// Rotations.
const ROTATIONS: u64 = 5;
/// Threads with a short flow after the other.
const CLIENTS: usize = 4;

fn talk(client: &mut TcpStream) -> Result<()> {
    client.write_all(b"hello")?;
    receive_exactly(client, b"hello")
}

/// Short flows, until they are told to stop. Returns how many there were.
fn short_flows(service: SocketAddr, done: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Acquire) {
        let number = done.fetch_add(1, Ordering::Relaxed);
        talk(&mut connect(service)?).with_context(|| format!("flow {number}"))?;
    }
    Ok(())
}

/// The ordinals of the connections to the other router, lowest first.
fn ordinals(node: &Node) -> Result<Vec<u64>> {
    let between = |c: &Entity| c["role"].as_str().is_some_and(|role| role.starts_with("inter-router"));
    let connections = node.management()?.query("connection")?;
    let mut ordinals: Vec<u64> =
        connections.iter().filter(|c| between(c)).filter_map(|c| c["tlsOrdinal"].as_u64()).collect();
    ordinals.sort_unstable();
    Ok(ordinals)
}

fn work() -> Result<()> {
    let server = ScriptedServer::start()?;
    server.script(echo);
    let line = LineBuilder::ours(2)?.service("svc", 0, 1, server.address()).start()?;
    line.wait_until_joined()?;
    let service = line.listen_address("svc")?;
    let (dialler, other) = (line.node(1), line.node(0));
    let connections = ordinals(dialler)?.len();
    let mut manager = dialler.management()?;

    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
            thread::spawn(move || short_flows(service, &done, &stop))
        })
        .collect();
    for ordinal in 1..=ROTATIONS {
        let mut long = connect(service)?;
        talk(&mut long)?;
        manager.update("sslProfile", PROFILE, &[("ordinal", &ordinal.to_string())])?;
        eventually("new connections beside the old ones", || {
            let ordinals = ordinals(dialler)?;
            ensure!(ordinals.iter().filter(|it| **it == ordinal).count() == connections, "{ordinals:?}");
            Ok(())
        })?;
        talk(&mut long).context("a flow that was there before")?;
        // It goes where it began; those that begin now take the new way.
        let before = done.load(Ordering::Relaxed);
        eventually("more short flows", || {
            ensure!(done.load(Ordering::Relaxed) > before + 20 * CLIENTS as u64);
            Ok(())
        })?;
        ensure!(ordinals(dialler)?.contains(&(ordinal - 1)), "the old ones are for what began on them");
        talk(&mut long).context("a flow that was there before")?;
        drop(long);
        let closed = |service: &Entity| service["connectionsClosed"].as_u64();
        eventually("the long flow has ended", || {
            let listeners = other.management()?.query("tcpListener")?;
            let open = listeners[0]["connectionsOpened"].as_u64().zip(closed(&listeners[0])).map(|(o, c)| o - c);
            ensure!(open.is_some_and(|open| open <= CLIENTS as u64), "{open:?}");
            Ok(())
        })?;
        manager.update("sslProfile", PROFILE, &[("oldestValidOrdinal", &ordinal.to_string())])?;
        eventually("the old connections are gone", || {
            let ordinals = ordinals(dialler)?;
            ensure!(ordinals.iter().all(|it| *it == ordinal), "{ordinals:?}");
            Ok(())
        })?;
    }
    stop.store(true, Ordering::Release);
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let flows = done.load(Ordering::Relaxed);
    ensure!(flows > ROTATIONS * 20, "{flows} flows");
    line.expect_no_errors(&[])
}

#[test]
fn no_flow_is_lost() {
    run(work);
}
