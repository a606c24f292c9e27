//! nghttp2's server of HTTP/2.

use std::process::Command;

use anyhow::Result;

use super::{Server, Site, require};
use crate::harness::Port;

/// Starts a server of the files in its folder, with more options.
pub fn serve(port: Port, site: Site<'_>, options: &[&str]) -> Result<Server> {
    let mut command = Command::new(require("nghttpd")?);
    command.args(options).args(["--address=127.0.0.1", "--htdocs"]).arg(site.folder).arg(port.number().to_string());
    match site.tls {
        None => command.arg("--no-tls"),
        Some(files) => command.arg(&files.key).arg(&files.certificate),
    };
    Server::start(port, site.folder, &mut command)
}
