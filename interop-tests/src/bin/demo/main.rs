//! Demonstration: an HTTP service reached across two routers.
//!
//! `demo` stays up until interrupted; `demo --once` ends by itself, successfully only if everything worked.

mod load;
mod show;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use interop_tests::harness::{Binary, Entity};
use interop_tests::http::{self, HttpClient};
use interop_tests::topology::{Line, LineBuilder};
use serde_json::Value as Json;

/// Address of the service inside the network.
const SERVICE: &str = "web";

fn main() -> ExitCode {
    match parse().and_then(demonstrate) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether to end after the demonstration.
fn parse() -> Result<bool> {
    let mut once = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--once" => once = true,
            other => bail!("unknown argument {other:?}; usage: demo [--once]"),
        }
    }
    Ok(once)
}

fn demonstrate(once: bool) -> Result<()> {
    let binary = Binary::ours()?;
    show::step(1, "Start");
    let server = http::serve()?;
    let line = LineBuilder::new([binary.clone(), binary.clone()]).named(["west", "east"]);
    let line = line.service(SERVICE, 0, 1, server).start()?;
    let listener = line.listen_address(SERVICE)?;
    show::fact("router", &binary.program().display().to_string());
    show::fact("certificates", &format!("made for this run in {}", line.folder().display()));
    picture(&line, listener, server);

    show::step(2, "What the routers say, asked over AMQP at $management");
    describe(&line)?;

    show::step(3, "Requests through the network");
    HttpClient::connect(listener)?.get("/").context("first request")?;
    let latencies = load::requests(listener)?;
    show::latencies(&latencies);
    let downloads = load::download(listener)?;
    show::fact("download", &downloads);

    show::step(4, "After the load");
    line.expect_no_errors(&[])?;
    show::fact("errors logged", "none");
    for node in line.nodes() {
        let memory = node.router.resident_kib()? / 1024;
        show::fact(&format!("memory of {}", node.router.id()), &format!("{memory} MiB"));
    }
    if once {
        println!("\nEverything worked.");
        return Ok(());
    }
    println!("\nEverything worked. The service stays reachable through the routers at\n");
    println!("    http://{listener}/");
    println!("    http://{listener}/bytes/1000000\n\nCtrl-C ends the demonstration.");
    wait_for_interrupt()
}

fn picture(line: &Line, listener: SocketAddr, server: SocketAddr) {
    let (west, east) = (line.first(), line.last());
    println!();
    println!("    HTTP clients");
    println!("        |  http://{listener}");
    println!("    +---v-----------------------+   mutual TLS    +---------------------------+");
    println!("    | router west               |<================| router east               |");
    println!("    | tcpListener   {SERVICE:<12}|                 | tcpConnector  {SERVICE:<12}|");
    println!("    | AMQP  {:<20}|                 | AMQP  {:<20}|", west.amqp(), east.amqp());
    println!("    | mesh  {:<20}|                 +-------------|-------------+", west.inter_router());
    println!("    +---------------------------+                               v  {server}");
    println!("                                                            HTTP server");
    println!();
}

fn describe(line: &Line) -> Result<()> {
    let mut management = line.first().management()?;
    for node in line.nodes() {
        let address = format!("_topo/0/{}/$management", node.router.id());
        let rows = management.query_at(&address, "router")?;
        let router = rows.first().context("no router entity")?;
        let summary = format!("{} {}, mode {}", text(router, "id"), text(router, "version"), text(router, "mode"));
        show::fact("router", &summary);
    }
    let nodes = management.query("router.node")?;
    let known: Vec<_> = nodes.iter().map(|node| text(node, "id")).collect();
    show::fact("west knows", &known.join(", "));

    println!("\n    connections of west to other routers");
    let mut table = show::Table::new(&["peer", "role", "direction", "TLS", "cipher", "peer's identity"]);
    for row in management.query("connection")?.iter().filter(|row| text(row, "role").starts_with("inter-router")) {
        table.row(["container", "role", "dir", "sslProto", "sslCipher", "user"].map(|name| text(row, name)));
    }
    table.print();

    println!("\n    service addresses at west");
    let mut table = show::Table::new(&["address", "distribution", "local consumers", "routers with consumers"]);
    for row in management.query("router.address")?.iter().filter(|row| text(row, "name").starts_with(['M'])) {
        let name = text(row, "name").trim_start_matches('M').to_owned();
        // The routers' own addresses would bury the service.
        if name == SERVICE {
            let [distribution, local, remote] =
                ["distribution", "subscriberCount", "remoteCount"].map(|name| text(row, name));
            table.row([name, distribution, local, remote]);
        }
    }
    table.print();
    let listeners = management.query("tcpListener")?;
    let listener = listeners.first().context("no tcpListener")?;
    show::fact("tcpListener", &format!("{}, operStatus {}", text(listener, "name"), text(listener, "operStatus")));
    Ok(())
}

fn text(entity: &Entity, attribute: &str) -> String {
    match entity.get(attribute) {
        Some(Json::String(text)) => text.clone(),
        None | Some(Json::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

fn wait_for_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c()).context("waiting for Ctrl-C")?;
    println!("\nEnded.");
    Ok(())
}
