//! What stands between a client of raw octets and a recording server.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, bail};
use tempfile::TempDir;

use super::{Net, Shape, Version};
use crate::apps::{Server, require};
use crate::harness::Port;
use crate::raw_http::Recorder;

/// A router with a service, or the proxy that `INTEROP_HTTP_PROXY` names, and a recording server behind.
#[derive(Debug)]
pub struct Front {
    /// Where clients connect.
    pub entrance: SocketAddr,
    /// The server behind.
    pub server: Recorder,
    net: Option<Net>,
    // It is kept while it runs.
    _proxy: Option<(Server, TempDir)>,
}

// === impl Front ===

impl Front {
    /// Starts it all.
    pub fn open(version: Version) -> Result<Self> {
        let server = Recorder::start("server")?;
        if let Ok(proxy) = std::env::var("INTEROP_HTTP_PROXY") {
            let folder = tempfile::tempdir()?;
            let proxy = start(&proxy, version, server.address(), &folder)?;
            return Ok(Self { entrance: proxy.address(), server, net: None, _proxy: Some((proxy, folder)) });
        }
        let shape = match std::env::var("INTEROP_HTTP_ROUTERS").as_deref() {
            Err(_) | Ok("one") => Shape::One,
            Ok("two") => Shape::Two,
            Ok("edge-clients") => Shape::EdgeClients,
            Ok("edge-servers") => Shape::EdgeServers,
            Ok(other) => bail!("INTEROP_HTTP_ROUTERS is {other}"),
        };
        let mut net = Net::start(shape)?;
        let entrance = net.serve(version, server.address())?;
        Ok(Self { entrance, server, net: Some(net), _proxy: None })
    }

    /// Whether it is the router.
    pub fn is_router(&self) -> bool {
        self.net.is_some()
    }

    /// Resident memory of the router that has the clients, in KiB; nothing of another proxy.
    pub fn resident_kib(&self) -> Result<u64> {
        self.net.as_ref().map_or(Ok(0), |net| net.resident_kib(net.front()))
    }
}

/// Starts another proxy, to try the client and the cases at.
fn start(proxy: &str, version: Version, server: SocketAddr, folder: &TempDir) -> Result<Server> {
    let (port, folder) = (Port::reserve()?, folder.path());
    let listen = port.address();
    let mut command = match proxy {
        "nginx" => {
            let http2 = if version == Version::Http2 { "http2" } else { "" };
            let file = folder.join("nginx.conf");
            let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let places = places.map(|name| format!("{name}_temp_path {}/{name};", folder.display())).concat();
            let text = format!(
                "daemon off; master_process off; pid {folder}/pid; error_log {folder}/err; events {{ }}
                 http {{ access_log off; {places} client_max_body_size 0; keepalive_requests 1000000;
                     upstream server {{ server {server}; keepalive 10; }}
                     server {{ listen {listen} {http2};
                         location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection '';
                             proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off; }} }} }}",
                folder = folder.display()
            );
            fs::write(&file, text)?;
            let mut command = Command::new(require("nginx")?);
            command.arg("-e").arg(folder.join("err")).arg("-c").arg(file);
            command
        }
        "haproxy" => {
            let proto = if version == Version::Http2 { "proto h2" } else { "" };
            let file = folder.join("haproxy.conf");
            let text = format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
                 frontend f\n bind {listen} {proto}\n default_backend b\nbackend b\n server s {server} {proto}\n"
            );
            fs::write(&file, text)?;
            let mut command = Command::new(require("haproxy")?);
            command.arg("-f").arg(file);
            command
        }
        "nghttpx" => {
            let proto = if version == Version::Http2 { "h2" } else { "http/1.1" };
            let mut command = Command::new(require("nghttpx")?);
            command.arg(format!("--frontend=127.0.0.1,{};no-tls", listen.port()));
            command.arg(format!("--backend=127.0.0.1,{};;proto={proto}", server.port()));
            command.args(["--conf=/dev/null", "--workers=1"]);
            command
        }
        other => bail!("INTEROP_HTTP_PROXY is {other}"),
    };
    Server::start(port, folder, &mut command)
}
