//! OpenSSH.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::geteuid;

use super::{Server, Site, Stage, require, text};
use crate::harness::{Port, output_of};

/// The keys of the server and of the only client that it lets in.
const KEYS: [&str; 2] = ["host", "client"];

/// Starts a server for the user that runs the test.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let program = require("sshd")?;
    let folder = site.folder;
    for key in KEYS {
        let mut keygen = Command::new(require("ssh-keygen")?);
        output_of(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(key)), &[])?;
    }
    if geteuid().is_root() {
        fs::create_dir_all("/run/sshd").context("folder for the separation of privileges")?;
    }
    let config = format!(
        "ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
",
        port = port.number(),
        folder = text(folder)
    );
    let file = folder.join("sshd.conf");
    fs::write(&file, config)?;
    Server::start(port, folder, Command::new(program).args(["-D", "-e", "-f"]).arg(file))
}

/// A client: `ssh` or `scp`, with the keys of the stage's server.
pub fn client(program: &str, stage: &Stage) -> Result<Command> {
    let folder = stage.server_folder();
    let mut command = Command::new(require(program)?);
    command.args(["-q", "-F", "none", "-i"]).arg(folder.join("client"));
    let known = format!("UserKnownHostsFile={}", folder.join("known").display());
    let port = format!("Port={}", stage.port());
    let options = [&known, &port, "StrictHostKeyChecking=accept-new", "BatchMode=yes", "IdentitiesOnly=yes"];
    command.args(options.iter().flat_map(|option| ["-o", option]));
    Ok(command)
}
