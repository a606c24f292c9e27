//! WebSocket, with Python's `websockets`.

use std::process::Command;

use anyhow::Result;

use super::python::script;
use super::{Server, Site, Stage};
use crate::harness::Port;

/// Starts a server that sends messages back.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let mut command = script("websockets", "websocket.py")?;
    command.args(["serve", &port.number().to_string()]);
    if let Some(files) = site.tls {
        command.arg("--certificate").arg(&files.certificate).arg("--key").arg(&files.key);
    }
    Server::start(port, site.folder, &mut command)
}

/// A client that says `open`, and for each line of input sends a message of so many octets, checks what comes back, and
/// says `echoed N`. It closes at the end of its input, and then says `closed 1000`.
pub fn client(stage: &Stage) -> Result<Command> {
    let mut command = script("websockets", "websocket.py")?;
    command.args(["call", &stage.port()]);
    if let Some(files) = stage.client_tls() {
        command.arg("--ca").arg(&files.ca);
    }
    Ok(command)
}
