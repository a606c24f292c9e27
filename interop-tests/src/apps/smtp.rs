//! Mail: aiosmtpd, which keeps it in a Maildir.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Server, Site, Stage, python_with, require};
use crate::harness::Port;

/// Starts a server. With an identity it offers STARTTLS and takes nothing before that.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let mut command = Command::new(python_with("aiosmtpd")?);
    command.env_remove("PYTHONPATH").args(["-m", "aiosmtpd", "--nosetuid", "--listen", &port.address().to_string()]);
    if let Some(files) = site.tls {
        command.arg("--tlscert").arg(&files.certificate).arg("--tlskey").arg(&files.key);
    }
    command.args(["--class", "aiosmtpd.handlers.Mailbox"]).arg(site.folder.join("mail"));
    Server::start(port, site.folder, &mut command)
}

/// Where the stage's server keeps what it got.
pub fn mailbox(stage: &Stage) -> PathBuf {
    stage.server_folder().join("mail/new")
}

/// A client that sends the mails in files, over one connection.
pub fn client(stage: &Stage, mails: &[PathBuf], starttls: bool) -> Result<Command> {
    let mut command = Command::new(require("curl")?);
    for (index, mail) in mails.iter().enumerate() {
        if index > 0 {
            command.arg("--next");
        }
        command.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
        let scheme = match stage.client_tls() {
            Some(files) => {
                command.arg("--cacert").arg(&files.ca);
                if starttls { "smtp" } else { "smtps" }
            }
            None => "smtp",
        };
        if starttls {
            command.arg("--ssl-reqd");
        }
        command.arg(format!("{scheme}://localhost:{}/client.example", stage.port()));
        command.args(["--mail-from", "from@example.org", "--mail-rcpt", "to@example.org", "--upload-file"]).arg(mail);
    }
    Ok(command)
}
