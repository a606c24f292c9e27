//! h2load and nghttp: thousands of requests over few connections, bodies and trailers both ways.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, nghttpd, nginx, require};
use interop_tests::harness::output_of;
use interop_tests::http_services::{Shape, Version};

use crate::{Scene, through};

/// Octets of the page.
const PAGE: usize = 20_000;

/// Has h2load make so many requests, all of which have to succeed. `options` tell of connections and streams.
pub(crate) fn h2load(scheme: &str, entrance: SocketAddr, path: &str, requests: usize, options: &[&str]) -> Result<()> {
    let mut load = Command::new(require("h2load")?);
    load.args(options).args(["-n", &requests.to_string()]).arg(format!("{scheme}://{entrance}{path}"));
    let said = String::from_utf8(output_of(&mut load, &[])?)?;
    ensure!(said.contains(&format!("status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx")), "{said}");
    Ok(())
}

fn loaded(scene: &Scene, options: &[&str]) -> Result<()> {
    let scheme = if scene.client_tls().is_some() { "https" } else { "http" };
    h2load(scheme, scene.entrance, "/page", 3000, options)?;
    scene.net.expect_no_errors()
}

fn http1(shape: Shape, encryption: Encryption) -> Result<()> {
    let scene = Scene::open(shape, Version::Http1, encryption, nginx::serve)?;
    fs::write(scene.served(nginx::PAGES).join("page"), vec![b'p'; PAGE])?;
    loaded(&scene, &["--h1", "-c", "20"])
}

fn http2(shape: Shape, encryption: Encryption) -> Result<()> {
    let scene = Scene::open(shape, Version::Http2, encryption, |port, site| nghttpd::serve(port, site, &[]))?;
    fs::write(scene.served("page"), vec![b'p'; PAGE])?;
    loaded(&scene, &["--npn-list=h2", "-c", "3", "-m", "50"])
}

/// Bodies and trailers both ways, header blocks in several frames, and header tables of every size.
fn everything_of_nghttp(shape: Shape, encryption: Encryption) -> Result<()> {
    let options = ["--echo-upload", "--trailer=sum: 1"];
    let scene = Scene::open(shape, Version::Http2, encryption, |port, site| nghttpd::serve(port, site, &options))?;
    fs::write(scene.served("page"), vec![b'p'; PAGE])?;
    let body = scene.file("body");
    let octets: Vec<u8> = (0..1_000_000).map(|at| (at % 253) as u8).collect();
    fs::write(&body, &octets)?;
    let (data, uri) = (format!("--data={}", body.display()), format!("{}/page", scene.base()));
    let nghttp = require("nghttp")?;
    let ask = |options: &[&str]| output_of(Command::new(&nghttp).args(options).arg(&uri), &[]);
    ensure!(ask(&[])? == vec![b'p'; PAGE], "the page changed on the way");
    ensure!(ask(&[&data, "--trailer=sum: 2"])? == octets, "the body changed on the way");
    ensure!(ask(&["--continuation", "--multiply=20"])? == vec![b'p'; 20 * PAGE], "a page changed on the way");
    for size in ["0", "100", "65536"] {
        let tables = [format!("--header-table-size={size}"), format!("--encoder-header-table-size={size}")];
        ask(&["--null-out", "--multiply=20", &tables[0], &tables[1]])?;
    }
    let said = String::from_utf8_lossy(&ask(&["--verbose", "--null-out"])?).into_owned();
    ensure!(said.contains("sum: 1"), "the trailers are missing: {said}");
    ask(&["--null-out", "--window-bits=1", "--connection-window-bits=10"])?;
    scene.net.expect_no_errors()
}

through! { http1;
    http1_two_routers: Two, Plain;
    http1_one_router_tls_at_both_ends: One, AtBothEnds;
    http1_servers_at_an_edge: EdgeServers, Plain;
}

through! { http2;
    http2_two_routers: Two, Plain;
    http2_two_routers_tls_at_both_ends: Two, AtBothEnds;
    http2_clients_at_an_edge: EdgeClients, Plain;
}

through! { everything_of_nghttp;
    nghttp_one_router: One, Plain;
    nghttp_two_routers_tls_from_connector: Two, FromConnector;
    nghttp_clients_at_an_edge_tls_to_listener: EdgeClients, ToListener;
}
