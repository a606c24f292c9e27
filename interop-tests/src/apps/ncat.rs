//! Ncat's proxy.

use std::process::Command;

use anyhow::Result;

use super::{Server, Site, require};
use crate::harness::Port;

/// Starts a proxy for `CONNECT` of HTTP.
pub fn serve_proxy(port: Port, site: Site<'_>) -> Result<Server> {
    let mut command = Command::new(require("ncat")?);
    command.args(["--listen", "127.0.0.1", &port.number().to_string(), "--proxy-type", "http"]);
    Server::start(port, site.folder, &mut command)
}
