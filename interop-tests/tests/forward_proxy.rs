//! Connectors through an HTTP proxy that others wrote: tinyproxy.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use interop_tests::apps::{Server, require};
use interop_tests::harness::{
    Binary, Certificates, Level, Management, Mark, Port, Router, RouterConfig, eventually, run,
};

const USER: &str = "carol";
const PASSWORD: &str = "s3cret-of-hers";

/// A proxy that lets one user through, to one port.
fn tinyproxy(folder: &Path, to: u16) -> Result<Server> {
    let program = require("tinyproxy")?;
    let port = Port::reserve()?;
    let folder = &folder.join("tinyproxy");
    fs::create_dir_all(folder)?;
    let file = folder.join("tinyproxy.conf");
    let config = format!(
        "Port {}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\nMaxClients 50\nLogLevel Info\nLogFile \"{}\"\n\
         BasicAuth {USER} {PASSWORD}\nConnectPort {to}\n",
        port.number(),
        folder.join("log").display()
    );
    fs::write(&file, config)?;
    Server::start(port, folder, Command::new(program).arg("-d").arg("-c").arg(file))
}

/// Two routers of a mesh with TLS, and a proxy between them.
struct Proxied {
    _server: Router,
    client: Router,
    /// The client's listener for management.
    listener: Port,
    to: String,
    proxy: Server,
    folder: tempfile::TempDir,
}

impl Proxied {
    /// `password` is the one of the client's proxyProfile; `is_admitted`: the proxy lets connections to the server through.
    fn start(password: &str, is_admitted: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let files = Certificates::make(folder.path())?;
        let port = Port::reserve()?;
        let number = port.number().to_string();
        let proxy = tinyproxy(folder.path(), if is_admitted { port.number() } else { 1 })?;
        let secured = |host: &'static str| vec![("host", host), ("role", "inter-router"), ("sslProfile", "mesh")];
        let mut listener = secured("127.0.0.1");
        listener.extend([("port", number.as_str()), ("saslMechanisms", "EXTERNAL"), ("authenticatePeer", "yes")]);
        let server = RouterConfig::interior("server").tls_profile(&files).section("listener", &listener);
        let server = Router::start(&Binary::ours()?, &server, folder.path())?;

        let proxy_port = proxy.address().port().to_string();
        let profile = [
            ("name", "proxy"),
            ("host", "127.0.0.1"),
            ("port", proxy_port.as_str()),
            ("username", USER),
            ("password", password),
        ];
        let mut connector = secured("localhost");
        connector.extend([("name", "up"), ("port", number.as_str()), ("proxyProfile", "proxy")]);
        let own = Port::reserve()?;
        let own_number = own.number().to_string();
        let client = RouterConfig::interior("client")
            .tls_profile(&files)
            .section("proxyProfile", &profile)
            .section("connector", &connector)
            .section("listener", &[("host", "127.0.0.1"), ("port", own_number.as_str())])
            .section("log", &[("module", "SERVER"), ("enable", "debug+")]);
        let client = Router::start(&Binary::ours()?, &client, folder.path())?;
        let to = format!("localhost:{number}");
        Ok(Self { _server: server, client, listener: own, to, proxy, folder })
    }

    fn expect_through(&self) -> Result<()> {
        let line = format!("Proxy connection negotiated through {} for {}, 200 ", self.proxy.address(), self.to);
        self.client.log().wait_for(Mark::default(), &line)?;
        // Certificates are the server's: its name was checked, not the proxy's.
        self.client.log().wait_for(Mark::default(), "Connection Opened: dir=out")?;
        Ok(())
    }

    fn expect_failure(&self, cause: &str) -> Result<()> {
        let line = format!(
            "Connection to {} failed: proton:io Proxy connection negotiation failed through {} for {}, {cause}",
            self.to,
            self.proxy.address(),
            self.to
        );
        self.client.log().wait_for(Mark::default(), &line)?;
        let mut management = Management::connect(self.listener.address())?;
        eventually("the connector tells the cause", || {
            let connectors = management.query("connector")?;
            let told = connectors.first().and_then(|connector| connector["connectionMsg"].as_str()).unwrap_or_default();
            ensure!(told.contains(cause), "{told}");
            Ok(())
        })
    }

    fn expect_no_secret(&self) -> Result<()> {
        let lines = self.client.log().lines(Mark::default(), Level::Info);
        ensure!(!lines.iter().any(|line| line.contains(PASSWORD)), "the password is in the log");
        Ok(())
    }
}

#[test]
fn routers_meet_through_a_proxy() {
    run(|| {
        let password = tempfile::NamedTempFile::new()?;
        fs::write(password.path(), PASSWORD)?;
        let proxied = Proxied::start(&format!("file:{}", password.path().display()), true)?;
        proxied.expect_through()?;
        let log = fs::read_to_string(proxied.folder.path().join("tinyproxy/log"))?;
        ensure!(log.contains(&format!("CONNECT {} HTTP/1.1", proxied.to)), "{log}");
        proxied.expect_no_secret()
    });
}

#[test]
fn a_password_is_corrected_while_the_router_runs() {
    run(|| {
        let proxied = Proxied::start("literal:wrong", true)?;
        // This proxy says so to whoever gave the wrong password; 407 is for those who gave none.
        proxied.expect_failure("proxy request denied 401 ")?;
        let right = format!("literal:{PASSWORD}");
        let mut management = Management::connect(proxied.listener.address())?;
        management.update("proxyProfile", "proxy", &[("password", right.as_str())])?;
        proxied.expect_through()?;
        proxied.expect_no_secret()
    });
}

#[test]
fn a_proxy_that_admits_other_ports_only_is_named() {
    run(|| Proxied::start(&format!("pass:{PASSWORD}"), false)?.expect_failure("proxy request denied 403 "));
}
