//! The PROXY protocol with programs that others wrote: HAProxy in front of the first router, nginx behind the last.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::{Server, require};
use interop_tests::harness::{Binary, Certificates, Port, run};
use interop_tests::tcp::{connect, expect_reset};
use interop_tests::topology::{Line, LineBuilder};

const ACCEPT: (&str, &str) = ("proxyProtocol", "accept");
const SEND: (&str, &str) = ("proxyProtocol", "send");

/// The page for a client that nginx hears nothing of.
const UNKNOWN: &str = "<> <> <>";

/// An nginx that answers with what it hears of its client: address, port, and port of the other end. `options` are those
/// of its `listen`.
fn nginx(port: Port, options: &str, folder: &Path, files: &Certificates) -> Result<Server> {
    let program = require("nginx")?;
    let file = folder.join("nginx.conf");
    let config = format!(
        "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
         events {{ }}
         http {{
             access_log off;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             ssl_certificate {certificate}; ssl_certificate_key {key};
             server {{
                 listen {address} {options};
                 location / {{
                     return 200 '<$proxy_protocol_addr> <$proxy_protocol_port> <$proxy_protocol_server_port>';
                 }}
             }}
         }}",
        folder = folder.display(),
        certificate = files.certificate.display(),
        key = files.key.display(),
        address = port.address(),
    );
    fs::write(&file, config)?;
    Server::start(port, folder, Command::new(program).arg("-e").arg(folder.join("nginx.err")).arg("-c").arg(file))
}

/// An HAProxy that passes connections on to a router, and tells of them.
fn haproxy(folder: &Path, router: SocketAddr) -> Result<Server> {
    let program = require("haproxy")?;
    let port = Port::reserve()?;
    let folder = &folder.join("haproxy");
    fs::create_dir_all(folder)?;
    let file = folder.join("haproxy.cfg");
    let config = format!(
        "defaults\n mode tcp\n timeout connect 20s\n timeout client 60s\n timeout server 60s\n\
         listen front\n bind 127.0.0.1:{}\n server router {router} send-proxy-v2\n",
        port.number()
    );
    fs::write(&file, config)?;
    Server::start(port, folder, Command::new(program).arg("-db").arg("-f").arg(file))
}

/// Asks for a page, and returns it with the client's own address.
fn ask(server: SocketAddr) -> Result<(String, SocketAddr)> {
    let mut client = connect(server)?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    let page = answer.split_once("\r\n\r\n").with_context(|| format!("no page in {answer:?}"))?.1.to_owned();
    Ok((page, client.local_addr()?))
}

/// The page for a client that has connected to a port.
fn page(client: SocketAddr, port: u16) -> String {
    format!("<{}> <{}> <{port}>", client.ip(), client.port())
}

/// A line of routers with the service `web` from the first to an nginx behind the last. `listener` are more attributes of
/// the tcpListener.
struct Web {
    line: Line,
    _nginx: Server,
    listener: SocketAddr,
}

impl Web {
    fn plain(routers: &[Binary], listener: &[(&'static str, &'static str)]) -> Result<Self> {
        Self::start(routers, listener, false)
    }

    fn start(routers: &[Binary], listener: &[(&'static str, &'static str)], tls: bool) -> Result<Self> {
        let port = Port::reserve()?;
        let builder = LineBuilder::new(routers.to_vec()).service("web", 0, routers.len() - 1, port.address());
        let builder = if tls { builder.with_tls() } else { builder };
        let line = builder.with_options(listener.to_vec(), [SEND]).start()?;
        let options = if tls { "proxy_protocol ssl" } else { "proxy_protocol" };
        let nginx = nginx(port, options, line.folder(), line.certificates())?;
        let listener = line.listen_address("web")?;
        Ok(Self { line, _nginx: nginx, listener })
    }
}

fn ours(count: usize) -> Result<Vec<Binary>> {
    Ok(vec![Binary::ours()?; count])
}

/// A client is known at the server as it is.
fn expect_known(web: &Web) -> Result<()> {
    for _ in 0..3 {
        let (answer, client) = ask(web.listener)?;
        ensure!(answer == page(client, web.listener.port()), "{client}: {answer}");
    }
    web.line.expect_no_errors(&[])
}

#[test]
fn a_server_hears_of_the_client_through_one_router() {
    run(|| expect_known(&Web::plain(&ours(1)?, &[])?));
}

#[test]
fn a_server_hears_of_the_client_through_two_routers() {
    run(|| expect_known(&Web::plain(&ours(2)?, &[])?));
}

#[test]
fn a_server_hears_of_the_client_through_the_c_router() {
    run(|| expect_known(&Web::plain(&[Binary::ours()?, Binary::upstream()?, Binary::ours()?], &[])?));
}

#[test]
fn a_client_of_the_c_router_is_unknown() {
    run(|| {
        let web = Web::plain(&[Binary::upstream()?, Binary::ours()?], &[])?;
        let (answer, _) = ask(web.listener)?;
        ensure!(answer == UNKNOWN, "{answer}");
        web.line.expect_no_errors(&[])
    });
}

#[test]
fn the_c_router_serves_clients_that_are_known() {
    run(|| {
        let port = Port::reserve()?;
        let line =
            LineBuilder::new([Binary::ours()?, Binary::upstream()?]).service("web", 0, 1, port.address()).start()?;
        let _nginx = nginx(port, "", line.folder(), line.certificates())?;
        let (answer, _) = ask(line.listen_address("web")?)?;
        ensure!(answer == UNKNOWN, "{answer}");
        line.expect_no_errors(&[])
    });
}

#[test]
fn a_server_hears_of_the_client_of_a_proxy() {
    run(|| {
        let web = Web::plain(&ours(2)?, &[ACCEPT])?;
        let proxy = haproxy(web.line.folder(), web.listener)?;
        let (answer, client) = ask(proxy.address())?;
        ensure!(answer == page(client, proxy.address().port()), "{client}: {answer}");
        // Who comes past the proxy is none of its clients.
        let mut stranger = connect(web.listener)?;
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        expect_reset(&mut stranger)
    });
}

#[test]
fn headers_come_before_tls() {
    run(|| {
        let curl = require("curl")?;
        let web = Web::start(&ours(2)?, &[ACCEPT], true)?;
        let proxy = haproxy(web.line.folder(), web.listener)?;
        let mut command = Command::new(curl);
        command.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{local_port}", "--cacert"]);
        command.arg(&web.line.certificates().ca).arg(format!("https://localhost:{}/", proxy.address().port()));
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = String::from_utf8(output.stdout)?;
        let (answer, port) = output.split_once('\n').context("two lines")?;
        ensure!(answer == page(([127, 0, 0, 1], port.parse()?).into(), proxy.address().port()), "{output}");
        Ok(())
    });
}
