//! The launcher of container images, as a process.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use common::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const ROUTER: &str = env!("CARGO_BIN_EXE_skrouterd");

#[test]
fn a_router_comes_of_the_environment_and_ends_in_good_order() {
    let folder = std::env::temp_dir().join(format!("launch-process-{}", std::process::id()));
    let secrets = folder.join("secrets");
    fs::create_dir_all(&secrets).unwrap();
    fs::write(secrets.join("user"), "secret").unwrap();
    std::os::unix::fs::symlink(ROUTER, folder.join("launch.sh")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = folder.join("log");
    let config = format!(
        "router {{\n mode: interior\n id: ${{HOSTNAME}}\n}}\nlistener {{\n host: 127.0.0.1\n port: {port}\n role: inter-router\n}}\n\
         log {{\n module: DEFAULT\n outputFile: {}\n}}\n",
        log.display()
    );
    // The type is part of the file's name, so that tests do not meet.
    let kind = format!("{}.conf", std::process::id());
    let launcher = Command::new(folder.join("launch.sh"))
        .env("HOSTNAME", "site-1")
        .env("POD_NAMESPACE", "ns")
        .env("QDROUTERD_CONF", config)
        .env("QDROUTERD_CONF_TYPE", &kind)
        .env("QDROUTERD_AUTO_MESH_DISCOVERY", "INFER")
        .env("QDROUTERD_AUTO_CREATE_SASLDB_SOURCE", &secrets)
        .env("QDROUTERD_AUTO_CREATE_SASLDB_PATH", folder.join("sasldb"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(&log).unwrap_or_default();
    eventually("the router starts", || told().contains("Operational"));
    assert!(told().contains("Container Name: site-1"), "{}", told());
    assert!(
        told().contains("Configured  Connector: site-0.amq-interconnect-headless.ns.svc.cluster.local"),
        "{}",
        told()
    );
    let process = launcher.id();
    let words = fs::read(format!("/proc/{process}/cmdline")).unwrap();
    let words: Vec<_> = words.split(|&c| c == 0).map(String::from_utf8_lossy).collect();
    let file = format!("/tmp/skrouterd.{kind}");
    let expected = ["skrouterd", "-c", &file, "--await-certificates"];
    assert_eq!(words[..4], expected, "the launcher has become the router");
    assert!(folder.join("sasldb").is_file());
    kill(Pid::from_raw(process.cast_signed()), Signal::SIGTERM).unwrap();
    let output = launcher.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(0), String::new()));
    fs::remove_file(file).unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_broken_configuration_is_the_routers_to_tell() {
    let kind = format!("{}.json", std::process::id());
    let mut launcher = Command::new(ROUTER);
    launcher.arg("launch").env("QDROUTERD_CONF", "/nowhere").env("QDROUTERD_CONF_TYPE", &kind);
    let output = launcher.output().unwrap();
    let [told, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!((output.status.code(), told.as_str()), (Some(1), "No such file or directory: /nowhere\n"));
    assert!(complaint.contains("skrouterd: Configuration: Configuration file was empty"), "{complaint}");
    let file = format!("/tmp/skrouterd.{kind}");
    assert!(Path::new(&file).exists());
    fs::remove_file(file).unwrap();
}
