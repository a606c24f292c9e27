//! Users in a database that Cyrus's own command has made, and routers that know them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::apps::require;
use crate::harness::RouterConfig;

/// The user, with its realm.
pub const USER: &str = "test@domain.com";
/// The user's password.
pub const PASSWORD: &str = "pass,w=rd";

/// A folder with the database of one user, and the configuration that names it.
pub fn folder(mechanisms: &str) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("users.sasldb");
    let mut command = Command::new(require("saslpasswd2")?);
    let command = command.args(["-c", "-p", "-u", "domain.com", "-f"]).arg(&database).arg("test");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(PASSWORD.as_bytes())?;
    ensure!(child.wait()?.success(), "saslpasswd2 failed");
    let config = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: {mechanisms}\n",
        database.display()
    );
    fs::write(folder.path().join("users.conf"), config)?;
    Ok(folder)
}

/// Configuration of a standalone router that has its users from such a folder.
pub fn config(id: &str, folder: &Path) -> RouterConfig {
    let folder = folder.display().to_string();
    let router = [("mode", "standalone"), ("id", id), ("saslConfigDir", folder.as_str()), ("saslConfigName", "users")];
    RouterConfig::with(id, &router)
}
