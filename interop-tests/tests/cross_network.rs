//! Two networks, each of a router at its border, one behind it and an edge router, joined by a connection of the role
//! `inter-network`. Clients are in the first, services in the second. Those beside the C router are left out, and say so, unless
//! `UPSTREAM_SKROUTERD` is set.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use interop_tests::harness::{Binary, Management, Port, Router, RouterConfig, eventually, run};
use interop_tests::peers::fe2o3;
use interop_tests::scenarios::beside_c_routers;
use interop_tests::tcp::{Digest, ScriptedServer, connect, receive_all, send_pattern};
use tempfile::TempDir;

/// Both networks belong to it.
const TENANT: &str = "T";
/// The address of the TCP service, which is prefixed by the tenant's id.
const SERVICE: &str = "service";
/// Octets that each flow carries in either direction; beside C routers, which now and then stall longer flows, few.
const FLOW_OCTETS: [u64; 2] = [1_000_000, 100_000];
/// Flows from each router at a time.
const FLOWS: usize = 4;

/// A place of a router in its network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Border,
    Inside,
    Edge,
}

const PLACES: [Place; 3] = [Place::Border, Place::Inside, Place::Edge];

/// A running network; its routers are in the order of [`PLACES`].
struct Network {
    routers: Vec<Router>,
    amqp: [Port; 3],
    /// Where its border, and the router behind it, are connected to from within.
    _joints: [Port; 2],
}

/// Both networks.
struct World {
    clients: Network,
    services: Network,
    /// Where clients of the TCP service connect.
    listeners: [Port; 3],
    server: ScriptedServer,
    // Last, so that the routers are gone before their files are.
    _folder: TempDir,
}

/// The configuration that a router has beside what all have.
type Section = (&'static str, Vec<(&'static str, String)>);

fn text(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
}

fn listener(role: &str, port: &Port) -> Section {
    let number = port.number().to_string();
    let listener =
        [("name", role), ("role", role), ("host", "127.0.0.1"), ("port", &number), ("authenticatePeer", "no")];
    ("listener", text(&listener))
}

fn connector(role: &str, port: &Port) -> Section {
    let number = port.number().to_string();
    ("connector", text(&[("name", role), ("role", role), ("host", "127.0.0.1"), ("port", &number)]))
}

fn auto_link(address: Option<&str>, external: Option<&str>) -> Section {
    let mut attributes = text(&[("connection", "inter-network"), ("direction", "in")]);
    attributes.extend(address.map(|address| ("address", address.to_owned())));
    attributes.extend(external.map(|external| ("externalAddress", external.to_owned())));
    ("autoLink", attributes)
}

/// The address between a client and a server at those places.
fn queue(from: usize, to: usize) -> String {
    format!("queue.{from}.{to}")
}

// === impl Network ===

impl Network {
    fn start(id: &str, ours: bool, more: impl Fn(Place) -> Vec<Section>, folder: &TempDir) -> Result<Self> {
        let binary = if ours { Binary::ours()? } else { Binary::upstream()? };
        let [first, second, third] = [(); 3].map(|()| Port::reserve());
        let amqp = [first?, second?, third?];
        let joints = [Port::reserve()?, Port::reserve()?];
        let mut routers = Vec::new();
        for (place, port) in PLACES.into_iter().zip(&amqp) {
            let (config, own) = match place {
                Place::Border => {
                    (RouterConfig::interior(&format!("{id}1")), vec![listener("inter-router", &joints[0])])
                }
                Place::Inside => {
                    let own = vec![connector("inter-router", &joints[0]), listener("edge", &joints[1])];
                    (RouterConfig::interior(&format!("{id}2")), own)
                }
                Place::Edge => (RouterConfig::edge(&format!("{id}3")), vec![connector("edge", &joints[1])]),
            };
            let network = ("network", text(&[("networkId", &format!("net-{id}")), ("tenantId", TENANT)]));
            let sections = std::iter::once(network).chain([listener("normal", port)]).chain(own).chain(more(place));
            let config = sections.fold(config, |config, (kind, attributes)| {
                let attributes: Vec<_> = attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
                config.section(kind, &attributes)
            });
            routers.push(Router::start(&binary, &config.with_wanted_logs(), folder.path())?);
        }
        Ok(Self { routers, amqp, _joints: joints })
    }

    /// Where clients connect at a place.
    fn address(&self, place: usize) -> SocketAddr {
        self.amqp[place].address()
    }

    fn management(&self, place: usize) -> Result<Management> {
        Management::connect(self.address(place))
    }

    /// Waits until the router behind the border can reach an address with that key by way of the border.
    fn await_address(&self, key: &str) -> Result<()> {
        let mut inside = self.management(1)?;
        eventually(&format!("{key} is known"), || {
            let rows = inside.query("router.address")?;
            let row = rows.iter().find(|row| row["name"] == *key).context("unknown")?;
            ensure!(row["remoteCount"] == 1, "{row:?}");
            Ok(())
        })
    }
}

// === impl World ===

impl World {
    fn start(clients_ours: bool, services_ours: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = ScriptedServer::start()?;
        let [first, second, third] = [(); 3].map(|()| Port::reserve());
        let listeners = [first?, second?, third?];
        let between = Port::reserve()?;
        let clients = Network::start(
            "x",
            clients_ours,
            |place| {
                let port = &listeners[PLACES.iter().position(|p| *p == place).unwrap_or_default()];
                let number = port.number().to_string();
                let service =
                    text(&[("name", SERVICE), ("address", SERVICE), ("host", "127.0.0.1"), ("port", &number)]);
                let mut sections = vec![("tcpListener", service)];
                if place == Place::Border {
                    sections.extend([listener("inter-network", &between), auto_link(None, Some("_xtopo/net-x"))]);
                }
                sections
            },
            &folder,
        )?;
        let port = server.address().port().to_string();
        let services = Network::start(
            "y",
            services_ours,
            |place| {
                let service = text(&[("name", SERVICE), ("address", SERVICE), ("host", "127.0.0.1"), ("port", &port)]);
                match place {
                    Place::Border => {
                        let pairs = (0..9).map(|n| queue(n / 3, n % 3));
                        let names = pairs.chain([format!("{TENANT}/{SERVICE}")]);
                        let auto_links = names.map(|name| auto_link(Some(&name), None));
                        let renamed = auto_link(Some("queue.inside"), Some("queue.outside"));
                        auto_links.chain([connector("inter-network", &between), renamed]).collect()
                    }
                    Place::Inside => Vec::new(),
                    Place::Edge => vec![("tcpConnector", service)],
                }
            },
            &folder,
        )?;
        let world = Self { clients, services, listeners, server, _folder: folder };
        world.await_connection()?;
        Ok(world)
    }

    /// Waits until services are known in the clients' network, and that network in the services'.
    fn await_connection(&self) -> Result<()> {
        self.services.await_address("Nnet-x")?;
        self.clients.await_address(&format!("M{TENANT}/{SERVICE}"))
    }

    /// Requests with replies, and large messages, from everywhere to everywhere.
    ///
    /// C routers at the side where they enter send none that are large: now and then such a one forgets the end of what it
    /// has, a quarter of a mebibyte, until something else comes on that connection.
    fn amqp(&self) -> Result<()> {
        let enters_here = self.clients.routers.iter().all(Router::is_ours);
        for (from, to) in (0..9).map(|n| (n / 3, n % 3)) {
            let name = queue(from, to);
            let (client, server) = (self.clients.address(from), self.services.address(to));
            Self::pass((client, &name), (server, &name), enters_here)
                .with_context(|| format!("from {from} to {to}"))?;
        }
        Ok(())
    }

    fn pass(client: (SocketAddr, &str), server: (SocketAddr, &str), large: bool) -> Result<()> {
        fe2o3::exchange(client, server)?;
        if large { fe2o3::send_large(client, server) } else { Ok(()) }
    }

    /// Flows of a TCP service, several at a time, from everywhere.
    fn tcp(&self) -> Result<()> {
        let octets = FLOW_OCTETS[usize::from(!self.is_ours())];
        self.server.script(move |stream| {
            let received = receive_all(&stream)?;
            send_pattern(&stream, 7, octets)?;
            Ok(received)
        });
        let flow = |listener: &Port| -> Result<()> {
            // What is sent before a router on the way knows of the service is cut.
            let (sent, received) = eventually("a flow gets through", || once(listener.address(), octets))?;
            ensure!(sent.octets == octets && received.octets == octets, "{sent:?} {received:?}");
            Ok(())
        };
        thread::scope(|scope| {
            let flow = &flow;
            let flows = (0..FLOWS).flat_map(|_| &self.listeners).map(|listener| scope.spawn(move || flow(listener)));
            let flows: Vec<_> = flows.collect();
            flows.into_iter().try_for_each(|flow| flow.join().map_err(|_| anyhow!("a client panicked"))?)
        })
    }

    /// Both; beside C routers a failure is no proof.
    fn all(&self) -> Result<()> {
        let all = || {
            self.amqp()?;
            self.tcp().context("flows")
        };
        if self.is_ours() { all() } else { beside_c_routers(all) }
    }

    fn routers(&self) -> impl Iterator<Item = &Router> {
        self.clients.routers.iter().chain(&self.services.routers)
    }

    /// There is no C router.
    fn is_ours(&self) -> bool {
        self.routers().all(Router::is_ours)
    }

    /// The networks are not joined: neither knows of the other's routers.
    fn apart(&self) -> Result<()> {
        for (network, expected) in [(&self.clients, ["x1", "x2"]), (&self.services, ["y1", "y2"])] {
            let nodes = network.management(0)?.query("router.node")?;
            let mut ids: Vec<_> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
            ids.sort_unstable();
            ensure!(ids == expected, "{ids:?}");
        }
        Ok(())
    }

    /// What has crossed the border was counted as such.
    fn counted(&self) -> Result<()> {
        for network in [&self.clients, &self.services] {
            let rows = network.management(0)?.query("routerMetrics")?;
            for figure in ["deliveriesIngressInterNetwork", "deliveriesEgressInterNetwork"] {
                let count = rows[0][figure].as_u64().context("a number")?;
                ensure!(count >= 9 * 50, "{figure} {count}");
            }
        }
        Ok(())
    }

    /// The border of the services' network dies and returns.
    fn border_dies(&mut self) -> Result<()> {
        self.services.routers[0].kill()?;
        self.services.routers[0].launch()?;
        self.await_connection()
    }
}

/// One flow: what was sent, and what came back.
fn once(to: SocketAddr, octets: u64) -> Result<(Digest, Digest)> {
    let client: TcpStream = connect(to)?;
    let sent = send_pattern(&client, 3, octets)?;
    client.shutdown(Shutdown::Write)?;
    let received = receive_all(&client)?;
    let expected = send_pattern(std::io::sink(), 7, octets)?;
    ensure!(received == expected, "{received:?} came back");
    Ok((sent, received))
}

/// Services are used before and after the border was away.
fn check(clients_ours: bool, services_ours: bool) -> Result<()> {
    let mut world = World::start(clients_ours, services_ours)?;
    world.all().context("at the start")?;
    if services_ours {
        // The other side's name is another.
        let (client, server) = (world.clients.address(2), world.services.address(2));
        World::pass((client, "queue.outside"), (server, "queue.inside"), clients_ours).context("by two names")?;
    }
    world.counted()?;
    world.apart()?;
    if world.is_ours() {
        world.routers().try_for_each(|router| router.expect_no_errors(&[]))?;
    }
    world.border_dies()?;
    world.all().context("afterwards")
}

#[test]
fn two_networks() {
    run(|| check(true, true));
}

#[test]
fn services_of_a_network_of_upstream() {
    run(|| check(true, false));
}

#[test]
fn clients_of_a_network_of_upstream() {
    run(|| check(false, true));
}
