//! FTP: pyftpdlib, whose data connections have a port of their own.

use std::net::SocketAddr;

use anyhow::Result;

use super::python::script;
use super::{Server, Site};
use crate::harness::Port;

/// Starts a server of the files in its folder, for anybody to read and write. It waits for data connections at `data`
/// and tells its clients to come to `data_entrance` instead.
pub fn serve(port: Port, site: Site<'_>, data: &Port, data_entrance: SocketAddr) -> Result<Server> {
    let mut command = script("pyftpdlib", "ftp_server.py")?;
    command.arg(port.number().to_string()).arg(data.number().to_string()).arg(data_entrance.port().to_string());
    command.arg(site.folder);
    Server::start(port, site.folder, &mut command)
}
