//! The figures of `/metrics` against what is known to have happened, and their form against Prometheus's own tools.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use interop_tests::apps;
use interop_tests::harness::{
    Binary, Management, Mark, Port, Router, RouterConfig, eventually, output_of, patience, run,
};
use interop_tests::tcp::{Digest, ScriptedServer, connect};
use interop_tests::topology::{Dialler, Line, LineBuilder, Security};
use serde_json::Value;

/// Connections through both routers, and what each carries.
const CONNECTIONS: usize = 20;
const ASKED: usize = 1_000;
const ANSWER: usize = 200_000;

/// How long the server thinks: beyond a bucket's bound, and well below that of the next but one.
const DELAY: Duration = Duration::from_millis(150);

/// The two services: across the routers, and within the first one.
const ACROSS: &str = "across";
const WITHIN: &str = "within";

/// Two routers with HTTP listeners, of which the second has dialled the first, and a server.
struct Stage {
    line: Line,
    http: [Port; 2],
    server: ScriptedServer,
}

impl Stage {
    fn start() -> Result<Self> {
        let server = ScriptedServer::start()?;
        server.script(|mut stream| {
            stream.read_exact(&mut [0; ASKED])?;
            thread::sleep(DELAY);
            stream.write_all(&[b'x'; ANSWER])?;
            stream.read_to_end(&mut Vec::new())?;
            Ok(Digest::default())
        });
        let line = LineBuilder::ours(2)?
            .named(["west", "east"])
            .joined(Security::MutualTls, Dialler::Right)
            .service(ACROSS, 0, 1, server.address())
            .service(WITHIN, 0, 0, server.address())
            .start()?;
        let http = [Port::reserve()?, Port::reserve()?];
        for (node, port) in line.nodes().iter().zip(&http) {
            let port = port.number().to_string();
            let attributes = [("host", "127.0.0.1"), ("port", &*port), ("http", "true"), ("httpRootDir", "disabled")];
            Management::connect(node.amqp())?.create("listener", "web", &attributes)?;
            node.router.log().wait_for(Mark::default(), "Listening for HTTP on")?;
        }
        Ok(Self { line, http, server })
    }

    fn text(&self, index: usize) -> Result<String> {
        text_of(self.http[index].address())
    }

    fn figures(&self, index: usize) -> Result<Value> {
        figures(&self.text(index)?)
    }

    fn entrance(&self, service: &str) -> Result<SocketAddr> {
        self.line.listen_address(service)
    }
}

/// What a router tells.
fn text_of(http: SocketAddr) -> Result<String> {
    let mut stream = connect(http)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: "), "{head}");
    Ok(body.to_owned())
}

/// The same, as Prometheus's library for Python reads it.
fn figures(text: &str) -> Result<Value> {
    let mut reader = apps::script("prometheus_client", "metrics.py")?;
    Ok(serde_json::from_slice(&output_of(&mut reader, text.as_bytes())?)?)
}

/// A whole conversation with the server.
fn converse(entrance: SocketAddr) -> Result<()> {
    let mut client = connect(entrance)?;
    client.write_all(&[b'y'; ASKED])?;
    client.read_exact(&mut [0; ANSWER])?;
    client.shutdown(Shutdown::Write)?;
    ensure!(client.read(&mut [0])? == 0);
    Ok(())
}

fn number(figures: &Value, series: &str) -> Result<f64> {
    figures[series].as_f64().with_context(|| format!("no {series}: {figures}"))
}

fn expect(figures: &Value, series: &str, wanted: f64) -> Result<()> {
    let found = number(figures, series)?;
    ensure!((found - wanted).abs() < f64::EPSILON, "{series} is {found}, not {wanted}");
    Ok(())
}

/// The labels of a service at a router.
fn labels(service: &str, role: &str) -> String {
    let name = if role == "listener" { service.to_owned() } else { format!("{service}-connector") };
    format!("address={service},name={name},role={role}")
}

/// What a router tells of so many conversations that are over, with that peer at their other end.
fn expect_conversations(figures: &Value, service: &str, role: &str, peer: &str, count: usize) -> Result<()> {
    let peers = format!(
        "address={service},name={},peer={peer},role={role}",
        match role {
            "listener" => service.to_owned(),
            _ => format!("{service}-connector"),
        }
    );
    let (received, sent) = if role == "listener" { (ASKED, ANSWER) } else { (ANSWER, ASKED) };
    for (name, wanted) in [
        ("connections", 0),
        ("connections_opened_total", count),
        ("received_bytes_total", count * received),
        ("sent_bytes_total", count * sent),
    ] {
        expect(figures, &format!("skrouter_service_peer_{name} {peers}"), wanted as f64)?;
    }
    let of = labels(service, role);
    let all: Vec<_> = ["connection_setup", "first_byte", "connection_duration"]
        .map(|name| format!("skrouter_service_{name}_seconds"))
        .into();
    for name in &all {
        expect(figures, &format!("{name}_count {of}"), count as f64)?;
    }
    let least = DELAY.as_secs_f64() * count as f64;
    for name in &all[1..] {
        let sum = number(figures, &format!("{name}_sum {of}"))?;
        ensure!(sum >= least && sum < patience().as_secs_f64() * count as f64, "{name}: {sum}");
    }
    let setup = number(figures, &format!("{}_sum {of}", all[0]))?;
    ensure!(setup > 0.0, "{} is {setup}", all[0]);
    let bucket = |bound: &str| {
        let (before, role) = of.split_once(",name=").context("labels")?;
        number(figures, &format!("{}_bucket {before},le={bound},name={role}", all[1]))
    };
    let buckets = [bucket("0.1")?, bucket("+Inf")?];
    ensure!(buckets == [0.0, count as f64], "first bytes up to 0.1 s and in all: {buckets:?}");
    ensure!(bucket("0.5")? <= bucket("2.5")?, "buckets are cumulative");
    Ok(())
}

#[test]
fn services_tell_with_whom_and_how_long() {
    run(|| {
        let stage = Stage::start()?;
        // Before it is waited for.
        stage.figures(0)?;
        let entrance = stage.entrance(ACROSS)?;
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| thread::spawn(move || converse(entrance))).collect();
        for client in clients {
            client.join().ok().context("a client panicked")??;
        }
        converse(stage.entrance(WITHIN)?)?;
        eventually("all is counted", || {
            let [west, east] = [stage.figures(0)?, stage.figures(1)?];
            expect_conversations(&west, ACROSS, "listener", "east", CONNECTIONS)?;
            expect_conversations(&east, ACROSS, "connector", "west", CONNECTIONS)?;
            expect_conversations(&west, WITHIN, "listener", "west", 1)?;
            expect_conversations(&west, WITHIN, "connector", "west", 1)
        })?;
        let west = stage.figures(0)?;
        expect(&west, &format!("skrouter_service_up {}", labels(ACROSS, "listener")), 1.0)?;
        ensure!(!west.to_string().contains("name=across-connector"), "the first router has no such connector");
        // One that is open is told as such, at once.
        stage.server.script(|mut stream| {
            stream.read_to_end(&mut Vec::new())?;
            Ok(Digest::default())
        });
        let client = connect(entrance)?;
        let open = "skrouter_service_peer_connections address=across,name=across,peer=east,role=listener";
        eventually("it is counted", || expect(&stage.figures(0)?, open, 1.0))?;
        drop(client);
        eventually("it is counted no more", || expect(&stage.figures(0)?, open, 0.0))?;
        stage.line.expect_no_errors(&[])
    });
}

/// An edge router is known where it asks: its request says where the answer goes. Where it answers, nobody tells.
#[test]
fn edge_routers_are_known_by_what_they_ask() {
    run(|| {
        apps::python_with("prometheus_client")?;
        let server = ScriptedServer::start()?;
        server.script(|mut stream| {
            let mut asked = [0; ASKED];
            stream.read_exact(&mut asked)?;
            stream.write_all(&[b'x'; ANSWER])?;
            stream.read_to_end(&mut Vec::new())?;
            Ok(Digest::default())
        });
        let folder = tempfile::tempdir()?;
        let [amqp, http, edge_amqp, edge_http, uplink, up, down] = reserve()?;
        let text = |port: &Port| port.number().to_string();
        let serve = server.address().port().to_string();
        let here = ("host", "127.0.0.1");
        let own = |config: RouterConfig, amqp: &Port, http: &Port| {
            let web = [("name", "web"), here, ("port", &*text(http)), ("http", "true"), ("httpRootDir", "disabled")];
            config.section("listener", &[here, ("port", &text(amqp))]).section("listener", &web)
        };
        let service = |config: RouterConfig, address: &str, listen: Option<&Port>| match listen {
            Some(port) => {
                let port = text(port);
                config.section("tcpListener", &[("name", address), here, ("port", &port), ("address", address)])
            }
            None => config.section("tcpConnector", &[("name", address), here, ("port", &serve), ("address", address)]),
        };
        let hub = own(RouterConfig::interior("hub"), &amqp, &http)
            .section("listener", &[("name", "edges"), here, ("port", &text(&uplink)), ("role", "edge")]);
        let hub = service(service(hub, "up", None), "down", Some(&down));
        let branch = own(RouterConfig::edge("branch"), &edge_amqp, &edge_http)
            .section("connector", &[("name", "hub"), here, ("port", &text(&uplink)), ("role", "edge")]);
        let branch = service(service(branch, "up", Some(&up)), "down", None);
        let binary = Binary::ours()?;
        let _hub = Router::start(&binary, &hub, folder.path())?;
        let _branch = Router::start(&binary, &branch, folder.path())?;
        for entrance in [&up, &down] {
            eventually("a conversation", || converse(entrance.address()))?;
        }
        let expected = [
            (&http, "up", "connector", "branch"),
            (&edge_http, "up", "listener", "hub"),
            (&http, "down", "listener", ""),
            (&edge_http, "down", "connector", "hub"),
        ];
        for (http, service, role, peer) in expected {
            let labels = format!("address={service},name={service},peer={peer},role={role}");
            eventually("it is counted", || {
                let figures = figures(&text_of(http.address())?)?;
                let wanted = if role == "listener" { ASKED } else { ANSWER };
                expect(&figures, &format!("skrouter_service_peer_received_bytes_total {labels}"), wanted as f64)
            })?;
        }
        let figures = figures(&text_of(http.address())?)?;
        expect(&figures, "skrouter_link_connections peer=branch,role=edge", 1.0)
    });
}

fn reserve<const N: usize>() -> Result<[Port; N]> {
    let ports = (0..N).map(|_| Port::reserve()).collect::<Result<Vec<_>>>()?;
    ports.try_into().ok().context("as many as were asked for")
}

#[test]
fn links_between_routers_are_watched() {
    run(|| {
        let mut stage = Stage::start()?;
        converse(stage.entrance(ACROSS)?)?;
        let (control, data) = ("peer=east,role=inter-router", "peer=east,role=inter-router-data");
        let west = stage.figures(0)?;
        let link = |name: &str, labels: &str| number(&west, &format!("skrouter_link_{name} {labels}"));
        ensure!(link("connections", control)? == 1.0 && link("connections_opened_total", control)? == 1.0);
        ensure!(link("connections_lost_total", control)? == 0.0 && link("cost", "peer=east")? == 1.0);
        // Streams travel on data connections.
        let open = link("connections", data)?;
        ensure!(open >= 1.0 && link("received_bytes_total", data)? > ANSWER as f64, "{open} data connections: {west}");
        ensure!(link("sent_bytes_total", data)? > ASKED as f64 && link("sent_bytes_total", control)? > 0.0, "{west}");
        let told = west.as_object().context("no figures")?;
        let trips = told.iter().filter(|(series, _)| series.starts_with("skrouter_link_round_trip_seconds "));
        let trips: Vec<_> = trips.filter_map(|(_, value)| value.as_f64()).collect();
        ensure!(trips.len() == 2 && trips.iter().all(|trip| *trip > 0.0 && *trip < 1.0), "{trips:?}");
        stage.line.router_mut(1).kill()?;
        eventually("the loss is told", || {
            let west = stage.figures(0)?;
            for labels in [control, data] {
                expect(&west, &format!("skrouter_link_connections {labels}"), 0.0)?;
            }
            expect(&west, &format!("skrouter_link_connections_lost_total {control}"), 1.0)?;
            ensure!(!west.to_string().contains("skrouter_link_round_trip_seconds"), "a lost link has a way: {west}");
            ensure!(!west.to_string().contains("skrouter_link_cost"), "a lost link has a cost: {west}");
            Ok(())
        })
    });
}

#[test]
fn the_process_tells_of_itself() {
    run(|| {
        let stage = Stage::start()?;
        let west = stage.figures(0)?;
        expect(&west, "skrouter_build_info mode=interior,router=west,version=3.5.0", 1.0)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let started = number(&west, "skrouter_start_time_seconds")?;
        ensure!(started < now && now - started < 3600.0, "started at {started}, and it is {now}");
        let expiry = number(&west, "skrouter_certificate_expiry_timestamp_seconds profile=mesh")?;
        ensure!(expiry > now, "{expiry}");
        let [open, limit] = ["open", "max"].map(|which| number(&west, &format!("skrouter_{which}_fds")));
        ensure!(open? > 5.0 && limit? >= 5.0);
        let lines = number(&west, "skrouter_log_lines_total level=info,module=SERVER")?;
        ensure!(lines > 0.0 && number(&west, "skrouter_tasks")? > 3.0 && number(&west, "skrouter_threads")? > 1.0);
        let [ceiling, resident] =
            ["ceiling", "resident"].map(|which| number(&west, &format!("skrouter_memory_{which}_bytes")));
        ensure!(resident? > 1e6 && ceiling? > 1e7);
        expect(&west, "skrouter_memory_pressure_level", 0.0)?;
        let series = "skrouter_tls_handshake_failures_total";
        let before = number(&west, series)?;
        // An end amid the handshake is a failure of it.
        let mut stranger = connect(stage.line.nodes()[0].amqps())?;
        stranger.write_all(b"\x16\x03\x01\x00\x05rubbish")?;
        stranger.read_to_end(&mut Vec::new()).ok();
        eventually("the failure is counted", || {
            let after = number(&stage.figures(0)?, series)?;
            ensure!(after > before, "{after} failures");
            Ok(())
        })
    });
}

/// The figures that the C router has are called as there: some names are not as Prometheus recommends. So only families
/// whose names begin with `skrouter_` are looked at.
#[test]
fn prometheus_finds_nothing_to_complain_of() {
    run(|| {
        let promtool = apps::require("promtool")?;
        let stage = Stage::start()?;
        converse(stage.entrance(ACROSS)?)?;
        for router in 0..2 {
            let text = stage.text(router)?;
            let name = |line: &str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").to_owned();
            let ours: Vec<_> = text.lines().filter(|line| name(line).starts_with("skrouter_")).collect();
            let families = ours.iter().filter(|line| line.starts_with("# TYPE ")).count();
            ensure!(families > 30, "{families} families");
            let said =
                output_of(Command::new(&promtool).args(["check", "metrics"]), (ours.join("\n") + "\n").as_bytes())?;
            ensure!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
        }
        Ok(())
    });
}
