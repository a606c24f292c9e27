//! HTTP servers and a client as they are in use, through one router and through two.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Port, Server, found, run, skip_unless};
use interop_tests::topology::{Line, LineBuilder};

/// Octets of the large file.
const LARGE: usize = 8 << 20;

fn nginx(pages: &Path, folder: &Path) -> Result<Server> {
    let program = skip_unless(found("nginx"), "nginx is not installed")?;
    let port = Port::reserve()?;
    let file = folder.join("nginx.conf");
    let config = format!(
        "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
         events {{ }}
         http {{
             access_log off;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             server {{ listen 127.0.0.1:{port}; root {pages}; }}
         }}",
        folder = folder.display(),
        port = port.number(),
        pages = pages.display(),
    );
    fs::write(&file, config)?;
    Server::start(port, Command::new(program).arg("-e").arg(folder.join("nginx.err")).arg("-c").arg(file))
}

fn python(pages: &Path, _folder: &Path) -> Result<Server> {
    let program = skip_unless(found("python3"), "python3 is not installed")?;
    let port = Port::reserve()?;
    let number = port.number().to_string();
    let arguments = ["-m", "http.server", &number, "--bind", "127.0.0.1", "--protocol", "HTTP/1.1", "--directory"];
    Server::start(port, Command::new(program).args(arguments).arg(pages))
}

/// Downloads with curl and compares with the file that was served.
fn curl(program: &Path, line: &Line, pages: &Path) -> Result<()> {
    let base = format!("http://{}", line.listen_address("web")?);
    let target = line.folder().join("downloaded");
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

fn through(routers: usize, server: impl Fn(&Path, &Path) -> Result<Server>) -> Result<()> {
    let program = skip_unless(found("curl"), "curl is not installed")?;
    let folder = tempfile::tempdir()?;
    let pages = folder.path().join("pages");
    fs::create_dir(&pages).context("folder for pages")?;
    fs::write(pages.join("small.txt"), "small\n")?;
    fs::write(pages.join("large.bin"), (0..LARGE).map(|index| (index % 253) as u8).collect::<Vec<_>>())?;
    let server = server(&pages, folder.path())?;
    let line = LineBuilder::ours(routers)?.service("web", 0, routers - 1, server.port.address()).start()?;
    curl(&program, &line, &pages)?;
    line.expect_no_errors(&[])
}

#[test]
fn nginx_through_one_router() {
    run(|| through(1, nginx));
}

#[test]
fn nginx_through_two_routers() {
    run(|| through(2, nginx));
}

#[test]
fn python_through_one_router() {
    run(|| through(1, python));
}

#[test]
fn python_through_two_routers() {
    run(|| through(2, python));
}
