//! MariaDB.

use std::process::Command;

use anyhow::Result;
use rustix::process::{Signal, geteuid};

use super::{Server, Site, Stage, require, text};
use crate::harness::{Port, output_of};

/// Starts a server with an empty database `test`, whose root needs no password.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let mut command = Command::new(require("mariadbd")?);
    let mut install = Command::new(require("mariadb-install-db")?);
    let data = format!("--datadir={}", text(&site.folder.join("data")));
    // A server that starts removes what it finds in there, another's too.
    let temporary = format!("--tmpdir={}", text(site.folder));
    // Nothing needs to outlive a power cut.
    let careless = ["--innodb-flush-method=nosync", "--innodb-log-file-size=8M", "--sync-frm=0"];
    for command in [&mut install, &mut command] {
        command.args(["--no-defaults", &data, &temporary, "--skip-name-resolve"]).args(careless);
    }
    install.arg("--auth-root-authentication-method=normal");
    command.args(["--bind-address=127.0.0.1", "--local-infile=1"]);
    command.args(["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M"]);
    command.arg(format!("--port={}", port.number()));
    command.arg(format!("--socket={}", text(&site.folder.join("socket"))));
    if geteuid().is_root() {
        install.arg("--user=root");
        command.arg("--user=root");
    }
    if let Some(files) = site.tls {
        let identity = [("ca", &files.ca), ("cert", &files.certificate), ("key", &files.key)];
        command.args(identity.map(|(what, file)| format!("--ssl-{what}={}", text(file))));
        command.arg("--require-secure-transport=ON");
    }
    output_of(&mut install, &[])?;
    // Nobody needs what it would tidy away.
    Ok(Server::start(port, site.folder, &mut command)?.ended_by(Signal::KILL))
}

/// A client: `mariadb`, `mariadb-dump` or another with the same options.
pub fn client(program: &str, stage: &Stage) -> Result<Command> {
    let mut command = Command::new(require(program)?);
    command.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=root"]);
    command.arg(format!("--port={}", stage.port()));
    match stage.client_tls() {
        Some(files) => command.arg("--ssl-verify-server-cert").arg(format!("--ssl-ca={}", text(&files.ca))),
        None => command.arg("--skip-ssl"),
    };
    Ok(command)
}
