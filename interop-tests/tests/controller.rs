//! What Skupper's controllers do with a router, in the encodings of their client.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use interop_tests::controller::{Controller, Value, int, long, string};
use interop_tests::harness::{Binary, Certificates, Port, Router, RouterConfig, eventually, run};
use interop_tests::topology::LineBuilder;
use tempfile::TempDir;

/// Services of the site.
const SERVICES: usize = 50;

/// Requests that fail again and again.
const STORM: usize = 300;

/// The router of a pod, as its configuration file makes it.
struct Site {
    router: Router,
    controller: Controller,
    files: Certificates,
    _folder: TempDir,
}

impl Site {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let files = Certificates::make(folder.path())?;
        let amqp = Port::reserve()?;
        let port = amqp.number().to_string();
        let config = RouterConfig::interior("site")
            .section("listener", &[("name", "amqp"), ("host", "localhost"), ("port", &port), ("role", "normal")]);
        let router = Router::start(&Binary::ours()?, &config, folder.path())?;
        let controller = Controller::connect(amqp.address())?;
        Ok(Self { router, controller, files, _folder: folder })
    }

    /// A request that succeeds.
    fn create(&mut self, kind: &str, name: &str, attributes: &[(&str, Value)]) -> Result<Value> {
        let reply = self.controller.create(kind, name, attributes)?;
        ensure!((reply.status, &*reply.description) == (201, "Created"), "{kind} {name}: {reply:?}");
        ensure!(reply.correlation_id == Value::Ulong(1), "{reply:?}");
        ensure!(reply.body.get("name") == Some(&string(name)) && reply.body.get("identity").is_some(), "{reply:?}");
        Ok(reply.body)
    }

    fn delete(&mut self, kind: &str, name: &str) -> Result<()> {
        let reply = self.controller.delete(kind, name)?;
        ensure!((reply.status, &*reply.description) == (204, "No Content"), "{kind} {name}: {reply:?}");
        Ok(())
    }

    /// The entity of that name.
    fn read(&mut self, kind: &str, name: &str) -> Result<Value> {
        let entities = self.controller.query(kind)?;
        let found = entities.into_iter().find(|entity| entity.get("name") == Some(&string(name)));
        found.with_context(|| format!("no {kind} {name}"))
    }

    fn profile(&self) -> [(&'static str, Value); 5] {
        let path = |path: &std::path::Path| string(path.display().to_string());
        [
            ("caCertFile", path(&self.files.ca)),
            ("certFile", path(&self.files.certificate)),
            ("privateKeyFile", path(&self.files.key)),
            ("ordinal", Value::Ulong(3)),
            ("oldestValidOrdinal", Value::Ulong(1)),
        ]
    }
}

/// A port that others keep away from for as long as the process lives.
fn port() -> Result<String> {
    static HELD: Mutex<Vec<Port>> = Mutex::new(Vec::new());
    let port = Port::reserve()?;
    let number = port.number().to_string();
    HELD.lock().map_err(|_| anyhow!("a test panicked"))?.push(port);
    Ok(number)
}

#[test]
fn every_type_that_is_asked_for_is_there_and_values_have_their_types() {
    run(|| {
        let mut site = Site::start()?;
        let routers = site.controller.query("router")?;
        ensure!(routers.len() == 1 && routers[0].get("id") == Some(&string("site")), "{routers:?}");
        ensure!(routers[0].get("mode") == Some(&string("interior")), "{routers:?}");
        for kind in [
            "connector",
            "sslProfile",
            "proxyProfile",
            "tcpConnector",
            "tcpListener",
            "listenerAddress",
            "tcpConnection",
        ] {
            ensure!(site.controller.query(kind)?.is_empty(), "{kind}");
        }
        let nodes = site.controller.query("router.node")?;
        ensure!(nodes.len() == 1 && nodes[0].get("nextHop") == Some(&string("(self)")), "{nodes:?}");
        let connections = site.controller.query("connection")?;
        ensure!(connections.len() == 1 && connections[0].get("active") == Some(&Value::Bool(true)), "{connections:?}");
        let listener = site.read("listener", "amqp")?;
        for (name, is_right) in [
            ("port", listener.get("port").is_some_and(|v| v.text().is_some())),
            ("authenticatePeer", listener.get("authenticatePeer") == Some(&Value::Bool(false))),
            ("http", listener.get("http") == Some(&Value::Bool(false))),
            ("cost", listener.get("cost").and_then(Value::number) == Some(1)),
            ("maxFrameSize", listener.get("maxFrameSize").and_then(Value::number) == Some(16384)),
            ("sslProfile", listener.get("sslProfile") == Some(&Value::Null)),
        ] {
            ensure!(is_right, "{name}: {listener:?}");
        }
        let unknown =
            site.controller.request(&[("operation", "QUERY"), ("entityType", "io.skupper.router.zebra")], None)?;
        ensure!(unknown.status == 400 || unknown.status == 500, "{unknown:?}");
        site.router.expect_alive()
    });
}

#[test]
fn a_site_is_configured_from_nothing_to_fifty_services_and_back() {
    run(|| {
        let mut site = Site::start()?;
        let begun = Instant::now();
        let profile = site.profile();
        for name in ["own", "peers"] {
            site.create("sslProfile", name, &profile)?;
            let same = site.controller.update("sslProfile", name, &profile)?;
            ensure!((same.status, &*same.description) == (200, "OK"), "{same:?}");
            ensure!(same.body.get("ordinal").and_then(Value::number) == Some(3), "{same:?}");
        }
        let mut ports = Vec::new();
        for number in 0..SERVICES {
            let (name, listen) = (format!("service-{number}"), port()?);
            let address = ("address", string(&name));
            let server =
                [("host", string("10.0.0.1")), ("port", string("8080")), address.clone(), ("siteId", string("x"))];
            site.create("tcpConnector", &format!("{name}@10.0.0.1"), &server)?;
            let client = [
                ("host", string("127.0.0.1")),
                ("port", string(&listen)),
                address,
                ("authenticatePeer", Value::Bool(false)),
            ];
            site.create("tcpListener", &name, &client)?;
            ports.push(listen);
        }
        let several = [("port", string(port()?)), ("multiAddressStrategy", string("priority"))];
        site.create("tcpListener", "several", &several)?;
        for (name, value) in [("first", long(2)), ("second", int(1))] {
            let address = [("address", string(name)), ("value", value), ("listener", string("several"))];
            site.create("listenerAddress", name, &address)?;
        }
        let link = [
            ("role", string("inter-router")),
            ("host", string("127.0.0.1")),
            ("port", string(port()?)),
            ("cost", int(2)),
            ("sslProfile", string("peers")),
        ];
        site.create("connector", "link", &link)?;
        let access = [
            ("role", string("inter-router")),
            ("port", string(port()?)),
            ("sslProfile", string("own")),
            ("saslMechanisms", string("EXTERNAL")),
            ("authenticatePeer", Value::Bool(true)),
        ];
        site.create("listener", "access", &access)?;
        println!("{SERVICES} services in {:?}", begun.elapsed());

        // What a comparison with the wish would see.
        let listeners = site.controller.query("tcpListener")?;
        ensure!(listeners.len() == SERVICES + 1, "{}", listeners.len());
        for (number, port) in ports.iter().enumerate() {
            let name = string(format!("service-{number}"));
            let found = listeners.iter().find(|l| l.get("name") == Some(&name)).context("it is gone")?;
            ensure!(found.get("port") == Some(&string(port)) && found.get("address") == Some(&name), "{found:?}");
            ensure!(found.get("observer") == Some(&string("auto")), "{found:?}");
        }
        let connector = site.read("connector", "link")?;
        ensure!(connector.get("cost").and_then(Value::number) == Some(2), "{connector:?}");
        ensure!(connector.get("verifyHostname") == Some(&Value::Bool(true)), "{connector:?}");
        ensure!(connector.get("connectionStatus").is_some_and(|status| status.text().is_some()), "{connector:?}");

        // A changed endpoint: name and port are free at once.
        for (name, port) in [("service-0", &ports[0]), ("service-1", &ports[1])] {
            site.delete("tcpListener", name)?;
            let client = [("host", string("127.0.0.1")), ("port", string(port)), ("address", string("other"))];
            site.create("tcpListener", name, &client)?;
        }

        for name in ["first", "second"] {
            site.delete("listenerAddress", name)?;
        }
        for number in 0..SERVICES {
            site.delete("tcpConnector", &format!("service-{number}@10.0.0.1"))?;
            site.delete("tcpListener", &format!("service-{number}"))?;
        }
        site.delete("tcpListener", "several")?;
        site.delete("connector", "link")?;
        site.delete("listener", "access")?;
        for name in ["own", "peers"] {
            site.delete("sslProfile", name)?;
        }
        for kind in ["connector", "sslProfile", "tcpConnector", "tcpListener", "listenerAddress"] {
            ensure!(site.controller.query(kind)?.is_empty(), "{kind}");
        }
        site.router.expect_alive()
    });
}

/// Servers are made known at one site, whose router another one is waiting for: its listeners take clients as soon as they can
/// reach a server.
#[test]
fn many_services_are_there_for_the_clients_of_another_site_at_once() {
    const MANY: usize = 355;
    run(|| {
        let line = LineBuilder::ours(2)?.start()?;
        let mut clients = Controller::connect(line.node(0).amqp())?;
        let mut servers = Controller::connect(line.node(1).amqp())?;
        let begun = Instant::now();
        for number in 0..MANY {
            let (name, listen) = (format!("service-{number}"), port()?);
            let address = ("address", string(&name));
            let client = [("host", string("127.0.0.1")), ("port", string(&listen)), address.clone()];
            let server = [("host", string("127.0.0.1")), ("port", string("8080")), address];
            let made = servers.create("tcpConnector", &name, &server)?;
            ensure!(made.status == 201, "{made:?}");
            let made = clients.create("tcpListener", &name, &client)?;
            ensure!(made.status == 201, "{made:?}");
        }
        let asked = Instant::now();
        eventually("all listeners are up", || {
            let listeners = clients.query("tcpListener")?;
            let up = listeners.iter().filter(|listener| listener.get("operStatus") == Some(&string("up"))).count();
            ensure!(up == MANY, "{up}");
            Ok(())
        })?;
        println!("{MANY} services: requests {:?}, then up after {:?}", asked - begun, asked.elapsed());
        ensure!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        Ok(())
    });
}

#[test]
fn failures_are_told_by_status_and_cost_no_link() {
    run(|| {
        let mut site = Site::start()?;
        let missing = [("caCertFile", string("/no/such/ca.crt"))];
        site.create("sslProfile", "later", &missing)?;
        let proxy = [("host", string("p")), ("port", string("1")), ("password", string("file:/no/such/file"))];
        site.create("proxyProfile", "proxy", &proxy)?;
        let several = [("port", string(port()?)), ("multiAddressStrategy", string("weighted"))];
        site.create("tcpListener", "several", &several)?;
        let address = [("address", string("a")), ("value", long(1)), ("listener", string("several"))];
        site.create("listenerAddress", "a", &address)?;
        let endpoint =
            |profile: &str| Ok::<_, anyhow::Error>([("port", string(port()?)), ("sslProfile", string(profile))]);
        let unknown = endpoint("unknown")?;
        let later = endpoint("later")?;
        let controller = &mut site.controller;
        let replies = [
            ("duplicates unique attribute 'name'", 400, controller.create("sslProfile", "later", &missing)?),
            ("Not found: sslProfile 'unknown' not found", 500, controller.create("connector", "c", &unknown)?),
            ("requires a self-identifying certificate", 500, controller.create("listener", "l", &later)?),
            ("listenerAddress entities exist", 500, controller.delete("tcpListener", "several")?),
            ("No entity with name=zebra", 404, controller.delete("tcpListener", "zebra")?),
            ("No entity with name=zebra", 404, controller.update("sslProfile", "zebra", &missing)?),
        ];
        for (text, status, reply) in replies {
            ensure!(reply.status == status && reply.description.contains(text), "{status} {text}: {reply:?}");
            ensure!(matches!(&reply.body, Value::Map(entries) if entries.is_empty()), "{reply:?}");
        }
        for _ in 0..STORM {
            let again = site.controller.create("connector", "c", &unknown)?;
            ensure!(again.status == 500, "{again:?}");
        }
        ensure!(site.controller.query("connector")?.is_empty(), "a connector that was refused");
        site.router.expect_alive()
    });
}
