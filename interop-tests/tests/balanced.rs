//! Two routers behind a load balancer, which deals the connections of one connector to both of them.

use std::io::{Write, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Binary, Level, Management, Mark, Port, Router, RouterConfig, eventually, run};
use interop_tests::tcp::{Digest, ScriptedServer, connect, receive_exactly};

/// Data connections of the router in front of the balancer.
const DATA: usize = 4;
/// Flows to the service.
const FLOWS: usize = 20;

/// A router and the port of its AMQP listener.
struct Node {
    router: Router,
    amqp: Port,
}

/// Starts a router with a listener for clients and something more.
fn start(config: RouterConfig, kind: &str, more: &[(&str, &str)], folder: &Path) -> Result<Node> {
    let amqp = Port::reserve()?;
    let number = amqp.number().to_string();
    let listener = [("name", "amqp"), ("host", "127.0.0.1"), ("port", &number), ("authenticatePeer", "no")];
    let config = config.section("listener", &listener).section(kind, more);
    Ok(Node { router: Router::start(&Binary::ours()?, &config, folder)?, amqp })
}

/// Carries each connection to the next of the targets.
fn balance(targets: [SocketAddr; 2]) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for (near, target) in listener.incoming().zip(targets.into_iter().cycle()) {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(target)) else { return };
            for (mut from, mut to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())]
                .into_iter()
                .filter_map(|(from, to)| from.ok().zip(to.ok()))
            {
                thread::spawn(move || {
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    Ok(address)
}

/// Where the data connections of a router end, as far as they are open.
fn ends(management: &mut Management) -> Result<Vec<String>> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let connections = management.query("connection")?;
    let data = connections.iter().filter(|c| text(&c["role"]) == "inter-router-data");
    Ok(data.map(|connection| text(&connection["container"])).collect())
}

fn work() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut behind = Vec::new();
    let ports = [Port::reserve()?, Port::reserve()?];
    for (port, id) in ports.iter().zip(["B", "C"]) {
        let number = port.number().to_string();
        let listener = [("role", "inter-router"), ("host", "127.0.0.1"), ("port", &number), ("authenticatePeer", "no")];
        behind.push(start(RouterConfig::interior(id), "listener", &listener, folder.path())?);
    }
    let balancer = balance([ports[0].address(), ports[1].address()])?.port().to_string();
    let connector = [("name", "out"), ("role", "inter-router"), ("host", "127.0.0.1"), ("port", &balancer)];
    let front = start(RouterConfig::trunking("A", &DATA.to_string()), "connector", &connector, folder.path())?;

    // One of the two became the neighbour: only it has the service.
    let mut management = Management::connect(front.amqp.address())?;
    let neighbour = eventually("there is a neighbour", || {
        let nodes = management.query("router.node")?;
        let other = nodes.iter().find(|node| node["id"] != "A").context("nobody yet")?;
        Ok(other["id"].as_str().context("an id")?.to_owned())
    })?;
    let node = behind.iter().find(|node| node.router.id() == neighbour).context("one of them")?;
    let server = ScriptedServer::start()?;
    server.script(|mut stream| {
        stream.write_all(b"hello")?;
        Ok(Digest::default())
    });
    let (server_port, port) = (server.address().port().to_string(), Port::reserve()?);
    let place = |port| [("address", "svc"), ("host", "127.0.0.1"), ("port", port)];
    Management::connect(node.amqp.address())?.create("tcpConnector", "s", &place(&server_port))?;
    management.create("tcpListener", "l", &place(&port.number().to_string()))?;

    // All flows arrive, also while some data connections still go astray.
    for number in 0..FLOWS {
        let mut client = eventually("the listener is open", || connect(port.address()))?;
        receive_exactly(&mut client, b"hello").with_context(|| format!("flow {number}"))?;
    }
    eventually("all data connections end at the neighbour", || {
        let ends = ends(&mut management)?;
        ensure!(ends.len() == DATA && ends.iter().all(|end| *end == neighbour), "{ends:?}");
        Ok(())
    })?;
    let complaints = front.router.log().lines(Mark::default(), Level::Error);
    let split = complaints.iter().filter(|line| line.contains("connections split across routers")).count();
    ensure!(split == 1 && complaints.len() == 1, "{complaints:?}");
    Ok(())
}

#[test]
fn data_connections_find_their_neighbour() {
    run(work);
}
