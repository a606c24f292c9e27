//! nginx and curl: files up and down, over HTTP/1.1 and HTTP/2. Pages without TLS are in `tests/http.rs`.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, nginx, require};
use interop_tests::harness::{finish, output_of, run};
use interop_tests::tcp::{Digest, receive_all, send_pattern};
use std::time::Duration;

/// Octets of a file.
const FILE: u64 = 4 << 20;
/// Octets of a file that takes its time.
const GIBIBYTE: u64 = 1 << 30;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    up_and_down(routers, encryption, FILE)
}

/// Puts a file, and gets it again.
fn up_and_down(routers: Routers, encryption: Encryption, octets: u64) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(nginx::serve)?;
    let [source, back] = ["source", "back"].map(|name| stage.file(name));
    let sent = send_pattern(File::create(&source)?, 4, octets)?;
    transfer(curl(&stage)?.arg("--upload-file").arg(&source), &stage)?;
    transfer(curl(&stage)?.arg("--output").arg(&back), &stage)?;
    ensure!(digest(&back)? == sent, "the file changed on the way");
    stage.expect_no_errors()
}

fn curl(stage: &Stage) -> Result<Command> {
    let mut command = Command::new(require("curl")?);
    command.args(["--silent", "--show-error", "--fail", "--max-time", "500"]);
    command.args(["--write-out", "HTTP/%{http_version}"]);
    if let Some(files) = stage.client_tls() {
        command.arg("--cacert").arg(&files.ca);
    }
    Ok(command)
}

fn transfer(curl: &mut Command, stage: &Stage) -> Result<()> {
    let scheme = if stage.client_tls().is_some() { "https" } else { "http" };
    curl.arg(format!("{scheme}://localhost:{}/file", stage.port()));
    let ended = finish(curl, &[], Duration::from_secs(510))?;
    let complaint = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{curl:?}: {}, {complaint}", ended.status);
    Ok(())
}

fn digest(file: &Path) -> Result<Digest> {
    receive_all(File::open(file)?)
}

/// Fifty files at a time over one connection, which speaks HTTP/2 from end to end.
fn http2(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(nginx::serve)?;
    let page = stage.server_folder().join(nginx::PAGES).join("page");
    send_pattern(File::create(&page)?, 5, 100_000)?;
    let mut load = Command::new(require("h2load")?);
    // It would take HTTP/1.1 of a listener, which prefers that.
    load.args([
        "--npn-list=h2",
        "-c",
        "2",
        "-m",
        "50",
        "-n",
        "1000",
        &format!("https://127.0.0.1:{}/page", stage.port()),
    ]);
    let said = String::from_utf8(output_of(&mut load, &[])?)?;
    ensure!(said.contains("Application protocol: h2\n") && said.contains("status codes: 1000 2xx"), "{said}");
    stage.expect_no_errors()
}

through! { check;
    one_router_tls_to_listener: One, ToListener;
    two_routers_tls_from_connector: Two, FromConnector;
    two_routers_tls_passed_through: Two, PassedThrough;
    upstream_first_tls_at_both_ends: UpstreamFirst, AtBothEnds;
    upstream_last_tls_at_both_ends: UpstreamLast, AtBothEnds;
}

through! { http2;
    http2_one_router_tls_at_both_ends: One, AtBothEnds;
    http2_two_routers_tls_passed_through: Two, PassedThrough;
}

#[test]
#[ignore = "takes a minute"]
fn a_gibibyte_each_way() {
    run(|| up_and_down(Routers::Two, Encryption::Plain, GIBIBYTE));
}

#[test]
#[ignore = "takes a minute"]
fn a_gibibyte_each_way_with_tls() {
    run(|| up_and_down(Routers::Two, Encryption::AtBothEnds, GIBIBYTE));
}
