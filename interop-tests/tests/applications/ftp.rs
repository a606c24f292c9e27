//! FTP: a connection of its own for each file.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, ftp, require};
use interop_tests::harness::{Port, output_of};
use interop_tests::topology::LineBuilder;

use crate::octets;

/// Files that are fetched one after the other.
const FILES: usize = 10;
/// The service of the data connections.
const DATA: &str = "data";

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let data = Port::reserve()?;
    let binaries = routers.binaries()?;
    let last = binaries.len() - 1;
    let line = LineBuilder::new(binaries).service(DATA, 0, last, data.address());
    let mut stage = Stage::of(line, routers, encryption)?;
    let entrance = stage.line.listen_address(DATA)?;
    let _server = stage.serve(|port, site| ftp::serve(port, site, &data, entrance))?;
    let source = stage.file("source");
    fs::write(&source, octets(6, 1 << 20))?;
    output_of(curl()?.arg("--upload-file").arg(&source).arg(url(&stage, "file")), &[])?;
    let listing = String::from_utf8(output_of(curl()?.arg(url(&stage, "")), &[])?)?;
    ensure!(listing.contains("file") && listing.contains("1048576"), "{listing}");
    let files = output_of(curl()?.args(vec![url(&stage, "file"); FILES]), &[])?;
    ensure!(files == fs::read(&source)?.repeat(FILES), "a file changed on the way");
    stage.expect_no_errors()
}

fn curl() -> Result<Command> {
    let mut command = Command::new(require("curl")?);
    command.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
    Ok(command)
}

fn url(stage: &Stage, file: &str) -> String {
    format!("ftp://127.0.0.1:{}/{file}", stage.port())
}

through! { check;
    one_router: One, Plain;
    two_routers: Two, Plain;
    upstream_first: UpstreamFirst, Plain;
    upstream_last: UpstreamLast, Plain;
}
