//! Routers that are to stop let others go elsewhere, and end what is under way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use interop_tests::harness::{Binary, Entity, Level, Management, Mark, Port, Router, RouterConfig, eventually, run};
use interop_tests::tcp::{ScriptedServer, connect, echo, expect_reset, receive_exactly};
use tempfile::TempDir;

/// The service address.
const SERVICE: &str = "svc";
/// How long a long flow lasts, and a drain takes at least that waits for it.
const LONG: Duration = Duration::from_secs(2);
/// Octets of a long flow follow each other after that time.
const PAUSE: Duration = Duration::from_millis(20);
/// Threads with a short flow after the other.
const CLIENTS: usize = 3;

/// A router of a network with its ports.
struct Node {
    router: Router,
    amqp: Port,
    service: Option<Port>,
}

/// Where a router of a network listens for others.
struct Way {
    routers: Port,
    edges: Port,
}

/// What a router of a network has.
#[derive(Default)]
struct Plan<'a> {
    name: &'a str,
    edge: bool,
    /// Where it listens for routers.
    listens: Option<&'a Way>,
    /// Routers that it dials.
    dials: Vec<&'a Way>,
    /// There is a tcpListener.
    serves_clients: bool,
    server: Option<SocketAddr>,
}

impl Way {
    fn reserve() -> Result<Self> {
        Ok(Self { routers: Port::reserve()?, edges: Port::reserve()? })
    }
}

impl Node {
    fn start(binary: &Binary, folder: &TempDir, plan: &Plan<'_>) -> Result<Self> {
        let mode = if plan.edge { RouterConfig::edge } else { RouterConfig::interior };
        let (amqp, service) = (Port::reserve()?, plan.serves_clients.then(Port::reserve).transpose()?);
        let number = |port: &Port| port.number().to_string();
        let local = ("host", "127.0.0.1");
        let mut config = mode(plan.name).section("listener", &[("name", "amqp"), local, ("port", &number(&amqp))]);
        if let Some(way) = plan.listens {
            for (role, port) in [("inter-router", &way.routers), ("edge", &way.edges)] {
                let port = number(port);
                config = config.section("listener", &[("name", role), ("role", role), local, ("port", &port)]);
            }
        }
        for (at, way) in plan.dials.iter().enumerate() {
            let (role, port) = if plan.edge { ("edge", &way.edges) } else { ("inter-router", &way.routers) };
            let (name, port) = (format!("to-{at}"), number(port));
            config = config.section("connector", &[("name", &name), ("role", role), local, ("port", &port)]);
        }
        let address = ("address", SERVICE);
        if let Some(port) = &service {
            config = config.section("tcpListener", &[("name", "listener"), address, local, ("port", &number(port))]);
        }
        if let Some(server) = plan.server {
            let port = server.port().to_string();
            config = config.section("tcpConnector", &[("name", "connector"), address, local, ("port", &port)]);
        }
        Ok(Self { router: Router::start(binary, &config, folder.path())?, amqp, service })
    }

    fn service(&self) -> Result<SocketAddr> {
        Ok(self.service.as_ref().context("no tcpListener")?.address())
    }

    /// Waits until it knows so many other routers, and so many of them, or links here, serve clients.
    fn wait_for(&self, routers: usize, servers: u64) -> Result<()> {
        let what = format!("{} knows {routers} routers and {servers} servers", self.router.id());
        eventually(&what, || {
            let mut management = Management::connect(self.amqp.address())?;
            let nodes = management.query("router.node")?;
            ensure!(nodes.len() == routers, "{} routers", nodes.len());
            let addresses = management.query("router.address")?;
            let is_it = |address: &&Entity| address_key(address).ends_with(SERVICE);
            let address = addresses.iter().find(is_it).context("no address")?;
            let found =
                ["remoteCount", "subscriberCount"].iter().filter_map(|name| address[*name].as_u64()).sum::<u64>();
            ensure!(found == servers, "{found} servers");
            Ok(())
        })
    }
}

fn address_key(address: &Entity) -> &str {
    address["key"].as_str().or_else(|| address["name"].as_str()).unwrap_or_default()
}

fn server() -> Result<ScriptedServer> {
    let server = ScriptedServer::start()?;
    server.script(echo);
    Ok(server)
}

/// The first of the services that takes a client, as a balancer finds it.
fn dial(services: &[SocketAddr]) -> Result<TcpStream> {
    let mut last = anyhow!("no service");
    for &service in services {
        match connect(service) {
            Ok(client) => return Ok(client),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn short_flow(services: &[SocketAddr]) -> Result<()> {
    let mut client = dial(services)?;
    client.write_all(b"hello")?;
    receive_exactly(&mut client, b"hello")
}

/// A flow that lasts. Nothing of it may be missing.
fn long_flow(mut client: TcpStream) -> Result<()> {
    let begun = Instant::now();
    let mut sent = 0_u8;
    while begun.elapsed() < LONG {
        client.write_all(&[sent])?;
        receive_exactly(&mut client, &[sent]).with_context(|| format!("after {:?}", begun.elapsed()))?;
        sent = sent.wrapping_add(1);
        sleep(PAUSE);
    }
    client.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    client.read_to_end(&mut rest)?;
    ensure!(rest.is_empty(), "{rest:?}");
    Ok(())
}

fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a client panicked"))?
}

/// Clients with a short flow after the other.
struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    fn begin(services: &[SocketAddr]) -> Self {
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let client = |_| {
            let (done, stop, services) = (Arc::clone(&done), Arc::clone(&stop), services.to_vec());
            thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    let number = done.load(Ordering::Relaxed);
                    short_flow(&services).with_context(|| format!("flow {number}"))?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { done, stop, clients }
    }

    /// Ends it; how many flows there were, of which none failed.
    fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        self.clients.into_iter().try_for_each(joined)?;
        Ok(self.done.load(Ordering::Relaxed))
    }
}

/// Stops a router in good order while flows are under way, and starts it again.
fn restart(node: &mut Node, services: &[SocketAddr]) -> Result<()> {
    let id = node.router.id().to_owned();
    let flows: Vec<_> = (0..4).map(|_| dial(services)).collect::<Result<_>>()?;
    let flows: Vec<_> = flows.into_iter().map(|client| thread::spawn(|| long_flow(client))).collect();
    sleep(LONG / 4);
    let mark = node.router.log().mark();
    ensure!(node.router.terminate()?.success());
    node.router.log().wait_for(mark, "Drained after").with_context(|| id.clone())?;
    for flow in flows {
        joined(flow).with_context(|| format!("a long flow while {id} stopped"))?;
    }
    node.router.launch()
}

/// Two routers with clients, two on the way, two with servers; everybody can do without any one of them.
fn ladder(kinds: [&Binary; 3]) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("drain-").tempdir()?;
    let servers = [server()?, server()?];
    let ways = [Way::reserve()?, Way::reserve()?];
    let mut nodes = Vec::new();
    for (name, way) in [("way-1", &ways[0]), ("way-2", &ways[1])] {
        nodes.push(Node::start(kinds[1], &folder, &Plan { name, listens: Some(way), ..Plan::default() })?);
    }
    let dials: Vec<_> = ways.iter().collect();
    for (name, server) in [("server-1", &servers[0]), ("server-2", &servers[1])] {
        let plan = Plan { name, dials: dials.clone(), server: Some(server.address()), ..Plan::default() };
        nodes.push(Node::start(kinds[2], &folder, &plan)?);
    }
    for name in ["client-1", "client-2"] {
        let plan = Plan { name, dials: dials.clone(), serves_clients: true, ..Plan::default() };
        nodes.push(Node::start(kinds[0], &folder, &plan)?);
    }
    let services = [nodes[4].service()?, nodes[5].service()?];
    let settled = |nodes: &[Node]| nodes[4..].iter().try_for_each(|node| node.wait_for(6, 2));
    settled(&nodes)?;
    for service in services {
        eventually("the listener is open", || short_flow(&[service]))?;
    }
    for at in 0..nodes.len() {
        if !nodes[at].router.is_ours() {
            continue;
        }
        let services = if at == 4 { [services[1], services[0]] } else { services };
        let load = Load::begin(&services);
        restart(&mut nodes[at], &services)?;
        let flows = load.end().with_context(|| format!("while {} stopped", nodes[at].router.id()))?;
        ensure!(flows > 20, "only {flows} flows");
        settled(&nodes)?;
        for service in services {
            eventually("the listener is open", || short_flow(&[service]))?;
        }
    }
    Ok(())
}

fn draining() -> Result<Binary> {
    Ok(Binary::ours()?.with_arguments(&["--drain", "20"]))
}

#[test]
fn every_router_of_a_redundant_network_is_restarted_under_load_and_nobody_notices() {
    run(|| {
        let ours = draining()?;
        ladder([&ours; 3])
    });
}

#[test]
fn c_routers_go_round_routers_that_drain() {
    run(|| {
        let (ours, theirs) = (draining()?, Binary::upstream()?);
        ladder([&theirs, &ours, &theirs])
    });
}

#[test]
fn c_routers_find_another_server() {
    run(|| {
        let (ours, theirs) = (draining()?, Binary::upstream()?);
        ladder([&theirs, &theirs, &ours])
    });
}

/// Which of the two routers an edge router uses, once it could use the other.
fn uplink(edge: &Node, uplinks: &[Node; 2]) -> Result<usize> {
    uplinks.iter().try_for_each(|node| node.wait_for(3, 1))?;
    eventually("two uplinks, one of them in use", || {
        let connections = Management::connect(edge.amqp.address())?.query("connection")?;
        let (active, others): (Vec<_>, Vec<_>) =
            connections.iter().filter(|c| c["role"] == "edge").partition(|c| c["active"] == true);
        ensure!((active.len(), others.len()) == (1, 1), "{active:?} {others:?}");
        Ok(usize::from(active[0]["container"] == "B"))
    })
}

#[test]
fn edge_routers_change_their_uplink_before_it_stops() {
    run(|| {
        let binary = draining()?;
        let folder = tempfile::Builder::new().prefix("drain-").tempdir()?;
        let server = server()?;
        let ways = [Way::reserve()?, Way::reserve()?];
        let all: Vec<_> = ways.iter().collect();
        let plan = Plan { name: "A", listens: Some(&ways[0]), ..Plan::default() };
        let first = Node::start(&binary, &folder, &plan)?;
        let plan = Plan { name: "B", listens: Some(&ways[1]), dials: vec![&ways[0]], ..Plan::default() };
        let mut uplinks = [first, Node::start(&binary, &folder, &plan)?];
        let plan = Plan { name: "S", dials: all.clone(), server: Some(server.address()), ..Plan::default() };
        let _server = Node::start(&binary, &folder, &plan)?;
        let plan = Plan { name: "E", edge: true, dials: all, serves_clients: true, ..Plan::default() };
        let edge = Node::start(&binary, &folder, &plan)?;
        let services = [edge.service()?];
        let mut used = uplink(&edge, &uplinks)?;
        for _ in 0..2 {
            eventually("the listener is open", || short_flow(&services))?;
            let load = Load::begin(&services);
            restart(&mut uplinks[used], &services)?;
            let flows = load.end()?;
            ensure!(flows > 20, "only {flows} flows");
            let now = uplink(&edge, &uplinks)?;
            ensure!(now != used);
            used = now;
        }
        Ok(())
    });
}

#[test]
fn edge_routers_with_servers_are_restarted_in_turn() {
    run(|| {
        let binary = draining()?;
        let folder = tempfile::Builder::new().prefix("drain-").tempdir()?;
        let servers = [server()?, server()?];
        let way = Way::reserve()?;
        let plan = Plan { name: "A", listens: Some(&way), serves_clients: true, ..Plan::default() };
        let interior = Node::start(&binary, &folder, &plan)?;
        let mut edges = Vec::new();
        for (name, server) in [("E1", &servers[0]), ("E2", &servers[1])] {
            let plan = Plan { name, edge: true, dials: vec![&way], server: Some(server.address()), ..Plan::default() };
            edges.push(Node::start(&binary, &folder, &plan)?);
        }
        let services = [interior.service()?];
        for edge in &mut edges {
            interior.wait_for(1, 2)?;
            eventually("the listener is open", || short_flow(&services))?;
            let load = Load::begin(&services);
            restart(edge, &services)?;
            let flows = load.end()?;
            ensure!(flows > 20, "only {flows} flows");
        }
        Ok(())
    });
}

#[test]
fn a_drain_ends_with_its_time_or_a_second_signal() {
    run(|| {
        let folder = tempfile::Builder::new().prefix("drain-").tempdir()?;
        let server = server()?;
        for (seconds, signals, end) in [("1", 1, "The time to drain is over"), ("600", 2, "a second signal")] {
            let binary = Binary::ours()?.with_arguments(&["--drain", seconds]);
            let plan = Plan { name: "R", serves_clients: true, server: Some(server.address()), ..Plan::default() };
            let mut node = Node::start(&binary, &folder, &plan)?;
            let mut client = eventually("the listener is open", || connect(node.service()?))?;
            client.write_all(b"x")?;
            receive_exactly(&mut client, b"x")?;
            let mark = node.router.log().mark();
            for _ in 0..signals {
                node.router.ask_to_end()?;
                node.router.log().wait_for(mark, "Draining")?;
            }
            node.router.log().wait_for(mark, end)?;
            ensure!(node.router.wait_for_end()?.success());
            expect_reset(&mut client)?;
            ensure!(node.router.log().lines(Mark::default(), Level::Error).is_empty());
        }
        Ok(())
    });
}
