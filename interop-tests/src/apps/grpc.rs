//! gRPC for Python.

use std::process::Command;

use anyhow::Result;

use super::python::script;
use super::{Server, Site, Stage};
use crate::harness::Port;

/// Starts a server with a method of each kind.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let mut command = script("grpc", "grpc_calls.py")?;
    command.args(["serve", &port.address().to_string()]);
    if let Some(files) = site.tls {
        command.arg("--certificate").arg(&files.certificate).arg("--key").arg(&files.key);
    }
    Server::start(port, site.folder, &mut command)
}

/// A client that checks each kind of call and prints, for each, the octets of requests and of answers.
pub fn client(stage: &Stage) -> Result<Command> {
    let mut command = script("grpc", "grpc_calls.py")?;
    command.args(["call", &format!("localhost:{}", stage.port())]);
    if let Some(files) = stage.client_tls() {
        command.arg("--ca").arg(&files.ca);
    }
    Ok(command)
}
