//! curl and nginx: files up and down, of known lengths and in chunks, over HTTP/1.1 and HTTP/2.

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::nginx::{self, PAGES};
use interop_tests::apps::{Encryption, require};
use interop_tests::harness::output_of;
use interop_tests::http_services::{Shape, Version};
use interop_tests::tcp::{receive_all, send_pattern};

use crate::{Scene, through};

/// Octets of the large file.
const LARGE: u64 = 10 << 20;
/// What curl reads and sends on.
const PIPED: usize = 1_000_000;

/// curl with options for all requests.
fn curl(scene: &Scene, options: &[&str]) -> Result<Command> {
    let mut command = Command::new(require("curl")?);
    command.args(["--silent", "--show-error", "--ipv4", "--max-time", "80"]).args(options);
    if let Some(files) = scene.client_tls() {
        command.arg("--cacert").arg(&files.ca);
    }
    Ok(command)
}

/// What it prints of a request.
fn asked(scene: &Scene, options: &[&str], more: &[&str], path: &str) -> Result<String> {
    let mut command = curl(scene, options)?;
    command.args(more).arg(format!("{}{path}", scene.base()));
    let piped = if more.contains(&"-") { vec![b'y'; PIPED] } else { Vec::new() };
    Ok(String::from_utf8(output_of(&mut command, &piped)?)?)
}

fn check(scene: &Scene, version: &str, options: &[&str]) -> Result<()> {
    let page = "0123456789".repeat(1000);
    fs::write(scene.served(PAGES).join("page"), &page)?;
    let (source, back) = (scene.file("source"), scene.file("back"));
    let sent = send_pattern(File::create(&source)?, 4, LARGE)?;
    let [source, target] = [&source, &back].map(|path| path.display().to_string());
    let ask = |more: &[&str], path: &str| asked(scene, options, more, path);
    let quiet = ["--output", "/dev/null", "--write-out", "%{http_code} %{http_version} %{size_download}"];

    ensure!(ask(&["--fail"], "/page")? == page, "the page changed on the way");
    let many = vec![format!("{}/page", scene.base()); 20];
    let got = output_of(curl(scene, options)?.arg("--fail").args(&many), &[]);
    // curl before 8.0 uses no connection again of which it knows before that it is one of HTTP/2.
    let is_excused = options.contains(&"--http2-prior-knowledge");
    ensure!(is_excused || got? == page.repeat(20).as_bytes(), "a page changed on the way");

    for (more, path, expected) in [
        (&[][..], "/page", format!("200 {version} {}", page.len())),
        (&["--upload-file", &source], "/large", format!("201 {version} 0")),
        (&["--upload-file", "-"], "/piped", format!("201 {version} 0")),
        (&["--upload-file", "-"], "/piped", format!("204 {version} 0")),
        (&["--range", "100-199"], "/page", format!("206 {version} 100")),
        (&["--header", "If-None-Match: *"], "/page", format!("304 {version} 0")),
        (&[], "/nothing", format!("204 {version} 0")),
        (&["--request", "DELETE"], "/piped", format!("204 {version} 0")),
    ] {
        let said = ask(&[more, &quiet].concat(), path).with_context(|| format!("{more:?} {path}"))?;
        ensure!(said == expected, "{more:?} {path}: {said}, not {expected}");
    }
    ensure!(ask(&quiet, "/missing")?.starts_with(&format!("404 {version}")), "a page that is missing");
    ensure!(ask(&["--head"], "/page")?.to_ascii_lowercase().contains("content-length: 10000\r\n"), "a head");
    ensure!(ask(&["--compressed"], "/squeezed/page")? == page, "the page changed when it was squeezed");
    ask(&["--fail", "--output", &target], "/large")?;
    ensure!(receive_all(File::open(&back)?)? == sent, "the large file changed on the way");
    scene.net.expect_no_errors()
}

fn http1(shape: Shape, encryption: Encryption) -> Result<()> {
    let scene = Scene::open(shape, Version::Http1, encryption, nginx::serve)?;
    check(&scene, "1.1", &["--http1.1"])?;
    // What only HTTP/1.1 has.
    let large = scene.file("source").display().to_string();
    let said = asked(
        &scene,
        &["--http1.1"],
        &["--header", "Expect: 100-continue", "--upload-file", &large, "--fail"],
        "/again",
    )?;
    ensure!(said.is_empty(), "{said}");
    let said = asked(&scene, &["--http1.0"], &["--fail"], "/squeezed/page")?;
    ensure!(said.len() == 10_000, "HTTP/1.0: {said}");
    scene.net.expect_no_errors()
}

fn http2(shape: Shape, encryption: Encryption) -> Result<()> {
    // Without TLS it has to know before what is spoken.
    let serve = if encryption.is_at_server() { nginx::serve } else { nginx::serve_http2 };
    let scene = Scene::open(shape, Version::Http2, encryption, serve)?;
    let option = if encryption.is_at_client() { "--http2" } else { "--http2-prior-knowledge" };
    check(&scene, "2", &[option])
}

through! { http1;
    http1_one_router: One, Plain;
    http1_two_routers: Two, Plain;
    http1_two_routers_tls_to_listener: Two, ToListener;
    http1_two_routers_tls_at_both_ends: Two, AtBothEnds;
    http1_clients_at_an_edge: EdgeClients, Plain;
    http1_servers_at_an_edge_tls_from_connector: EdgeServers, FromConnector;
}

through! { http2;
    http2_one_router: One, Plain;
    http2_two_routers: Two, Plain;
    http2_two_routers_tls_to_listener: Two, ToListener;
    http2_two_routers_tls_at_both_ends: Two, AtBothEnds;
    http2_clients_at_an_edge_tls_to_listener: EdgeClients, ToListener;
    http2_servers_at_an_edge: EdgeServers, Plain;
}
