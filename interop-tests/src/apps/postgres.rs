//! PostgreSQL.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::{Signal, geteuid};

use super::{Server, Site, Stage, found, text};
use crate::harness::{Port, eventually, output_of, skip_unless};

/// The user of the server, who may do everything.
const USER: &str = "tester";

/// Starts a server with an empty database.
pub fn serve(port: Port, site: Site<'_>) -> Result<Server> {
    let owner = Owner::find()?;
    let data = site.folder.join("data");
    fs::create_dir(&data)?;
    owner.let_through(site.folder)?;
    owner.take(&data)?;
    let mut initdb = owner.command(&program("initdb")?);
    output_of(initdb.args(["--no-sync", "--no-locale", "--auth=trust", "-U", USER, "-D"]).arg(&data), &[])?;
    let mut command = owner.command(&program("postgres")?);
    let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "synchronous_commit=off"];
    command.arg("-D").arg(&data).args(["-p", &port.number().to_string()]);
    command.args(settings.iter().flat_map(|setting| ["-c", setting]));
    if let Some(files) = site.tls {
        let [certificate, key] = [&files.certificate, &files.key].map(|file| owner.copy(file, &data));
        command.args(["-c", "ssl=on"]);
        command.args(["-c", &format!("ssl_cert_file={}", text(&certificate?))]);
        command.args(["-c", &format!("ssl_key_file={}", text(&key?))]);
    }
    let address = port.address();
    // Without this signal it would leave a segment of shared memory behind.
    let server = Server::start(port, site.folder, &mut command)?.ended_by(Signal::INT);
    let is_ready = program("pg_isready")?;
    let port = address.port().to_string();
    eventually("the database is ready", || {
        output_of(Command::new(&is_ready).args(["-h", "127.0.0.1", "-p", &port]), &[])
    })?;
    Ok(server)
}

/// A client, such as `psql`.
pub fn client(name: &str, stage: &Stage) -> Result<Command> {
    let mut command = Command::new(program(name)?);
    let port = stage.port();
    let to = [("PGHOST", "localhost"), ("PGHOSTADDR", "127.0.0.1"), ("PGPORT", &port), ("PGDATABASE", "postgres")];
    command.envs(to).env("PGUSER", USER).env("PGAPPNAME", name);
    match stage.client_tls() {
        Some(files) => command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &files.ca),
        None => command.env("PGSSLMODE", "disable"),
    };
    Ok(command)
}

/// A program of PostgreSQL. Debian keeps the servers, and the clients without their wrappers, in folders of versions.
fn program(name: &str) -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|file| file.is_file()).max();
    skip_unless(newest.or_else(|| found(name)), &format!("{name} of PostgreSQL is not installed"))
}

/// Whom the server runs as: it refuses to be root.
struct Owner {
    /// User and group, where it is not us.
    other: Option<(u32, u32)>,
}

// === impl Owner ===

impl Owner {
    fn find() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let other = ["postgres", "nobody"].iter().find_map(|name| ids(&users, name));
        Ok(Self { other: Some(other.context("no user to run PostgreSQL as")?) })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(self.other.map_or(program, |_| Path::new("setpriv")));
        if let Some((user, group)) = self.other {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
            command.arg(program);
        }
        command.current_dir("/");
        command
    }

    fn take(&self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.other else { return Ok(()) };
        chown(path, Some(user), Some(group)).with_context(|| format!("giving away {}", path.display()))
    }

    /// Lets it pass through the folders of the test, which are closed to others.
    fn let_through(&self, folder: &Path) -> Result<()> {
        let mut closed = folder.ancestors().take(2).filter(|_| self.other.is_some());
        closed.try_for_each(|folder| Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?))
    }

    /// Copies a file for the server's eyes only.
    fn copy(&self, file: &Path, folder: &Path) -> Result<PathBuf> {
        let copy = folder.join(file.file_name().context("a name")?);
        fs::copy(file, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600))?;
        self.take(&copy)?;
        Ok(copy)
    }
}

/// User and group of a name in a file like `/etc/passwd`.
fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = user.split(':').skip(2).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}
