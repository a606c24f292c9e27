//! Redis.

use std::process::Command;

use anyhow::Result;

use super::{Server, Site, Stage, require, text};
use crate::harness::Port;

/// Starts a server that keeps nothing on disk.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let number = port.number().to_string();
    let mut command = Command::new(require("redis-server")?);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(site.folder);
    match site.tls {
        None => command.args(["--port", &number]),
        Some(files) => command.args(["--port", "0", "--tls-port", &number, "--tls-auth-clients", "no"]).args([
            "--tls-ca-cert-file",
            &text(&files.ca),
            "--tls-cert-file",
            &text(&files.certificate),
            "--tls-key-file",
            &text(&files.key),
        ]),
    };
    Server::start(port, site.folder, &mut command)
}

/// A client: `redis-cli`, or another with the same options.
pub fn client(program: &str, stage: &Stage) -> Result<Command> {
    let mut command = Command::new(require(program)?);
    command.args(["-h", "127.0.0.1", "-p", &stage.port()]);
    if let Some(files) = stage.client_tls() {
        command.arg("--tls").arg("--cacert").arg(&files.ca);
    }
    Ok(command)
}
