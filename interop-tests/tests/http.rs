//! HTTP servers and a client as they are in use, through one router and through two.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::nginx::{self, PAGES};
use interop_tests::apps::{Encryption, Routers, Server, Site, Stage, require};
use interop_tests::harness::{Port, run};

/// Octets of the large file.
const LARGE: usize = 8 << 20;

/// Python's server of the files in [`PAGES`].
fn python(port: Port, site: Site<'_>) -> Result<Server> {
    let number = port.number().to_string();
    let arguments = ["-m", "http.server", &number, "--bind", "127.0.0.1", "--protocol", "HTTP/1.1", "--directory"];
    let mut command = Command::new(require("python3")?);
    Server::start(port, site.folder, command.args(arguments).arg(site.folder.join(PAGES)))
}

/// Downloads with curl and compares with the file that was served.
fn curl(program: &Path, stage: &Stage) -> Result<()> {
    let base = format!("http://{}", stage.entrance());
    let (target, pages) = (stage.file("downloaded"), stage.server_folder().join(PAGES));
    let common = ["--silent", "--show-error", "--fail", "--max-time", "60", "--output"];
    for page in ["small.txt", "large.bin"] {
        let output = Command::new(program).args(common).arg(&target).arg(format!("{base}/{page}")).output()?;
        ensure!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
        ensure!(fs::read(&target)? == fs::read(pages.join(page))?, "{page} changed on the way");
    }
    // Twenty requests over one connection.
    let many = vec![format!("{base}/small.txt"); 20];
    let output = Command::new(program).args(&common[..5]).args(&many).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.stdout == fs::read(pages.join("small.txt"))?.repeat(20), "an answer changed on the way");
    let missing = Command::new(program).args(&common[..5]).arg(format!("{base}/missing")).output()?;
    ensure!(missing.status.code() == Some(22), "a missing page gives {}", missing.status);
    Ok(())
}

fn through(routers: Routers, serve: impl FnOnce(Port, Site<'_>) -> Result<Server>) -> Result<()> {
    let program = require("curl")?;
    let mut stage = Stage::open(routers, Encryption::Plain)?;
    let pages = stage.server_folder().join(PAGES);
    fs::create_dir(&pages).context("folder for pages")?;
    fs::write(pages.join("small.txt"), "small\n")?;
    fs::write(pages.join("large.bin"), (0..LARGE).map(|index| (index % 253) as u8).collect::<Vec<_>>())?;
    let _server = stage.serve(serve)?;
    curl(&program, &stage)?;
    stage.expect_no_errors()
}

#[test]
fn nginx_through_one_router() {
    run(|| through(Routers::One, nginx::serve));
}

#[test]
fn nginx_through_two_routers() {
    run(|| through(Routers::Two, nginx::serve));
}

#[test]
fn python_through_one_router() {
    run(|| through(Routers::One, python));
}

#[test]
fn python_through_two_routers() {
    run(|| through(Routers::Two, python));
}
