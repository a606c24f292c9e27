//! One end of a service at this router, the other at a C router that has HTTP services. Left out, and said so, unless
//! `UPSTREAM_HTTP_SKROUTERD` is set.

use std::fs::{self, File};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use interop_tests::apps::nginx::{self, PAGES};
use interop_tests::apps::{Encryption, require};
use interop_tests::harness::output_of;
use interop_tests::http_services::{Shape, Version};
use interop_tests::tcp::{receive_all, send_pattern};
use std::process::Command;

use crate::{Scene, through};

/// Octets of the large file.
const LARGE: u64 = 1 << 20;
/// Clients at a time, and requests of each.
const CLIENTS: usize = 4;
const REQUESTS: usize = 25;

fn curl(scene: &Scene, option: &str, more: &[&str], path: &str) -> Result<String> {
    let mut command = Command::new(require("curl")?);
    command.args(["--silent", "--show-error", "--ipv4", "--max-time", "60", option]).args(more);
    let said = output_of(command.arg(format!("{}{path}", scene.base())), &[]);
    Ok(String::from_utf8(said.with_context(|| format!("{more:?} {path}"))?)?)
}

fn check(scene: &Scene, option: &str) -> Result<()> {
    let page = "0123456789".repeat(1000);
    fs::write(scene.served(PAGES).join("page"), &page)?;
    let (source, back) = (scene.file("source"), scene.file("back"));
    let sent = send_pattern(File::create(&source)?, 4, LARGE)?;
    let [source, target] = [&source, &back].map(|path| path.display().to_string());
    let code = ["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}"];
    for (more, path, expected) in [
        (&[][..], "/page", "200 10000"),
        (&["--upload-file", &source], "/large", "201 0"),
        (&["--range", "100-199"], "/page", "206 100"),
        (&["--head"], "/page", "200 0"),
        (&[], "/nothing", "204 0"),
    ] {
        let said = curl(scene, option, &[more, &code].concat(), path)?;
        ensure!(said == expected, "{more:?} {path}: {said}, not {expected}");
    }
    ensure!(curl(scene, option, &code, "/missing")?.starts_with("404 "), "a page that is missing");
    curl(scene, option, &["--fail", "--output", &target], "/large")?;
    ensure!(receive_all(File::open(&back)?)? == sent, "the large file changed on the way");
    thread::scope(|scope| {
        let client = || {
            (0..REQUESTS).try_for_each(|_| {
                let got = curl(scene, option, &["--fail"], "/page")?;
                ensure!(got == page, "a page changed on the way");
                Ok(())
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
    })?;
    scene.net.expect_no_errors()
}

fn http1(shape: Shape, encryption: Encryption) -> Result<()> {
    check(&Scene::open(shape, Version::Http1, encryption, nginx::serve)?, "--http1.1")
}

fn http2(shape: Shape, encryption: Encryption) -> Result<()> {
    check(&Scene::open(shape, Version::Http2, encryption, nginx::serve_http2)?, "--http2-prior-knowledge")
}

through! { http1;
    http1_servers_at_a_c_router: CServers, Plain;
    http1_clients_at_a_c_router: CClients, Plain;
}

through! { http2;
    http2_servers_at_a_c_router: CServers, Plain;
    http2_clients_at_a_c_router: CClients, Plain;
}
