//! Starts a router in a container: makes its configuration from the environment, and becomes the router (spec
//! `skupper-controller-contract.md` section 2).
//!
//! ```text
//!  QDROUTERD_CONF --> text --> variables expanded --> connectors added --> /tmp/skrouterd.<type> --> exec skrouterd -c
//!  (text, files,               ($NAME)                (auto-mesh)
//!   folders)
//! ```
//!
//! What fails is told on stdout, and the router is started nevertheless: it tells what is wrong with its configuration.

mod environment;
mod kubernetes;
mod mesh;
mod source;
mod users;

use crate::cli;
use environment::Environment;
use signal_hook::consts::SIGTERM;
use signal_hook::flag::register_conditional_shutdown;
use source::{Source, at};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The word behind the program's name that asks for this, and the name by which container images call it.
pub(crate) const WORD: &str = "launch";
pub(crate) const NAME: &str = "launch.sh";

/// The only folder that has to be writable.
const FOLDER: &str = "/tmp";

/// Becomes a router. Returns only if that fails.
pub(crate) fn launch() -> ExitCode {
    // The first process of a container has no default action for signals, and waits for pods may be long.
    let is_armed = Arc::new(AtomicBool::new(true));
    let _ = register_conditional_shutdown(SIGTERM, 128 + SIGTERM, is_armed);
    let mut environment = Environment::of_process();
    let mut tell = |text: &str| {
        // Without a stdout there is nobody to tell.
        let _ = writeln!(io::stdout(), "{text}");
    };
    let config = prepare(&mut environment, Path::new(FOLDER), &mut tell);
    let error = config.map_or_else(|error| error, |config| become_router(&environment, config.as_deref()));
    let _ = writeln!(io::stderr(), "skrouterd: {error}");
    ExitCode::FAILURE
}

/// Makes the configuration file; its path, if there is one.
///
/// # Errors
/// When it cannot be written: what is there in its place is somebody else's.
fn prepare(environment: &mut Environment, folder: &Path, tell: &mut dyn FnMut(&str)) -> io::Result<Option<PathBuf>> {
    environment.set("HOSTNAME_IP_ADDRESS", own_addresses());
    let host = environment.get("HOSTNAME").map(str::to_owned).or_else(own_name).unwrap_or_default();
    let pod = host.rsplit('-').next().unwrap_or_default().to_owned();
    environment.set("POD_ID", pod);
    let extension = environment.get("QDROUTERD_CONF_TYPE").unwrap_or("conf");
    let file = folder.join(format!("skrouterd.{}", extension.replace('/', "_")));
    // One that was mounted there counts as well.
    let mounted = || file.is_file().then(|| source::read(&file)).transpose();
    let text = match Source::of(environment).read(tell) {
        Some(text) => Some(text),
        None => mounted()?,
    };
    if let Some(text) = &text {
        let text = with_mesh(environment, environment.expand(text), tell);
        write(&file, &text)?;
    }
    if let Err(error) = users::create(environment, tell) {
        tell(&format!("Error creating users: {error}"));
    }
    Ok(text.map(|_| file))
}

fn with_mesh(environment: &Environment, config: String, tell: &mut dyn FnMut(&str)) -> String {
    let Some(mode) = environment.get("QDROUTERD_AUTO_MESH_DISCOVERY") else { return config };
    mesh::extend(environment, mode, &config, tell).unwrap_or_else(|error| {
        tell(&format!("Error configuring automesh: {error}"));
        let line = "---------------------------------------";
        tell(&format!("{line}\n{}\n{line}", config.trim_end()));
        config
    })
}

/// Only the router's user may read it: there may be passwords in it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(file, &error)),
        _ => {}
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| at(file, &error))
}

fn own_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The addresses of this host by its name.
fn own_addresses() -> String {
    let found = own_name().and_then(|name| (name, 0).to_socket_addrs().ok());
    let mut addresses: Vec<IpAddr> = found.into_iter().flatten().map(|address| address.ip()).collect();
    addresses.dedup();
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

fn become_router(environment: &Environment, config: Option<&Path>) -> io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut command = Command::new(program);
    command.arg0("skrouterd").envs(environment.all());
    if let Some(config) = config {
        command.arg("-c").arg(config);
    }
    // Whoever brings them into the container may be later than the router.
    command.arg(format!("--{}", cli::AWAIT_CERTIFICATES));
    command.exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(test: &str, variables: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
        let folder = std::env::temp_dir().join(format!("launch-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut told = Vec::new();
        let mut environment = Environment::of(variables.iter().copied());
        let prepared = prepare(&mut environment, &folder, &mut |text| told.push(text.to_owned()));
        let file = prepared.expect("it can be written");
        let text = file.map(|file| fs::read_to_string(file).expect("readable"));
        fs::remove_dir_all(folder).expect("there");
        (text, told)
    }

    #[test]
    fn the_configuration_is_expanded_and_written() {
        let config = [("QDROUTERD_CONF", "router {\n id: ${HOSTNAME}.$POD_ID\n}"), ("HOSTNAME", "a-b-7")];
        assert_eq!(prepared("expanded", &config), (Some("router {\n id: a-b-7.7\n}\n".to_owned()), vec![]));
        assert_eq!(prepared("default", &[]), (None, vec![]));
    }

    #[test]
    fn what_fails_is_told_and_costs_no_more() {
        let (text, told) = prepared("missing", &[("QDROUTERD_CONF", "/nowhere:/not/here")]);
        assert_eq!(text.as_deref(), Some(""));
        assert_eq!(told, ["No such file or directory: /nowhere", "No such file or directory: /not/here"]);
        let config = [("QDROUTERD_CONF", "router {\n id: a\n}"), ("QDROUTERD_AUTO_MESH_DISCOVERY", "never")];
        let (text, told) = prepared("mesh", &config);
        assert_eq!(text.as_deref(), Some("router {\n id: a\n}\n"));
        assert!(told[0].starts_with("Error configuring automesh: ") && told[1].contains("\nrouter {\n"), "{told:?}");
        let (text, told) = prepared("users", &[("QDROUTERD_AUTO_CREATE_SASLDB_SOURCE", "/nowhere")]);
        assert!(text.is_none() && told[0].starts_with("Error creating users: /nowhere: "), "{told:?}");
    }

    #[test]
    fn what_cannot_be_read_is_no_reason_to_start_with_something_else() {
        let folder = std::env::temp_dir().join(format!("launch-{}-unreadable", std::process::id()));
        // A link that leads to itself can be read by nobody.
        fs::create_dir_all(folder.join("conf.d")).expect("a folder");
        std::os::unix::fs::symlink("loop.conf", folder.join("conf.d/loop.conf")).expect("a link");
        let source = folder.join("conf.d").display().to_string();
        let (text, told) = prepared("unreadable-file", &[("QDROUTERD_CONF", &source)]);
        assert_eq!(text.as_deref(), Some(""), "the router refuses an empty file");
        assert!(told[0].contains("loop.conf: "), "{told:?}");
        // A folder in the place of the file: nothing is started.
        fs::create_dir_all(folder.join("skrouterd.conf")).expect("a folder");
        let mut environment = Environment::of([("QDROUTERD_CONF", "router {\n}")]);
        prepare(&mut environment, &folder, &mut |_| ()).expect_err("it cannot be written");
        fs::remove_dir_all(folder).expect("there");
    }

    #[test]
    fn a_file_that_is_there_is_expanded_too() {
        let folder = std::env::temp_dir().join(format!("launch-{}-mounted", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("skrouterd.conf"), "id: $HOSTNAME").expect("written");
        let mut environment = Environment::of([("HOSTNAME", "a-1")]);
        let file = prepare(&mut environment, &folder, &mut |_| ()).expect("writable").expect("there");
        assert_eq!(fs::read_to_string(file).expect("readable"), "id: a-1");
        fs::remove_dir_all(folder).expect("there");
    }

    #[test]
    fn the_type_is_no_path() {
        let config = [("QDROUTERD_CONF", "{}"), ("QDROUTERD_CONF_TYPE", "../../x")];
        assert_eq!(prepared("type", &config), (Some("{}\n".to_owned()), vec![]));
    }
}
