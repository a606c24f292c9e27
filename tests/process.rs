//! The daemon as a process: how it starts in the background, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUTER: &str = env!("CARGO_BIN_EXE_skrouterd");

/// A folder with a configuration, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str, config: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("process-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("router.conf"), format!("router {{\n mode: standalone\n id: A\n}}\n{config}"))
            .unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn signal(pid: &str, signal: Signal) {
    kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
}

#[test]
fn a_daemon_whose_log_goes_to_stdout_starts() {
    let folder = Folder::new("daemon", "log {\n module: DEFAULT\n enable: debug+\n outputFile: stdout\n}\n");
    let started = Command::new(ROUTER)
        .args(["-d", "-c", &folder.file("router.conf"), "-P", &folder.file("pid")])
        .output()
        .unwrap();
    signal(&std::fs::read_to_string(folder.file("pid")).unwrap(), Signal::SIGTERM);
    assert!(started.status.success(), "{started:?}");
    assert_eq!((started.stdout, started.stderr), (Vec::new(), Vec::new()));
}

#[test]
fn a_daemon_that_does_not_start_says_why() {
    let folder = Folder::new("failure", "nonsense {\n}\n");
    let started = Command::new(ROUTER).args(["-d", "-c", &folder.file("router.conf")]).output().unwrap();
    assert_eq!(started.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&started.stderr).contains("nonsense"), "{started:?}");
}

#[test]
fn the_first_process_of_a_container_ends_well_after_sigint() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let possible = Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|status| status.success());
    if !possible {
        return;
    }
    let folder = Folder::new("interrupt", "log {\n module: DEFAULT\n enable: info+\n}\n");
    let mut parent = Command::new("unshare")
        .args(unshare)
        .args([ROUTER, "-c", &folder.file("router.conf")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(parent.stderr.take().unwrap()).lines();
    log.find(|line| line.as_ref().is_ok_and(|line| line.contains("Operational"))).unwrap().unwrap();
    let child = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id())).unwrap();
    signal(&child, Signal::SIGINT);
    for _ in log {}
    assert_eq!(parent.wait().unwrap().code(), Some(0));
}

/// Runs a router until it is sent a fatal signal; what it has told on stderr.
#[test]
fn a_router_that_is_told_to_end_while_it_starts_ends_well() {
    let folder = Folder::new("early", "log {\n module: DEFAULT\n enable: info+\n}\n");
    for _ in 0..5 {
        let mut command = Command::new(ROUTER);
        let mut router = command.args(["-c", &folder.file("router.conf")]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(router.stderr.take().unwrap()).lines();
        log.find(|line| line.as_ref().is_ok_and(|line| line.contains("Container Name"))).unwrap().unwrap();
        signal(&router.id().to_string(), Signal::SIGTERM);
        for _ in log {}
        assert_eq!(router.wait().unwrap().code(), Some(0));
    }
}

/// What a service manager hears until it has heard this, so often.
fn hear(manager: &UnixDatagram, wanted: &str, times: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.iter().filter(|told| *told == wanted).count() < times {
        let mut message = [0; 200];
        let octets = manager.recv(&mut message).unwrap();
        heard.push(String::from_utf8_lossy(&message[..octets]).trim().to_owned());
    }
    heard
}

#[test]
fn a_service_manager_hears_of_start_life_and_end() {
    let folder = Folder::new("manager", "");
    let manager = UnixDatagram::bind(folder.0.join("manager")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut router = Command::new(ROUTER)
        .args(["-c", &folder.file("router.conf")])
        .env("NOTIFY_SOCKET", folder.0.join("manager"))
        .env("WATCHDOG_USEC", "300000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(hear(&manager, "READY=1", 1), ["READY=1"]);
    assert_eq!(hear(&manager, "WATCHDOG=1", 3), ["WATCHDOG=1"; 3]);
    signal(&router.id().to_string(), Signal::SIGTERM);
    hear(&manager, "STOPPING=1", 1);
    assert_eq!(router.wait().unwrap().code(), Some(0));
}

fn fatally_signalled(fault: Signal) -> String {
    let folder = Folder::new(fault.as_str(), "log {\n module: DEFAULT\n enable: info+\n outputFile: stderr\n}\n");
    let mut router =
        Command::new(ROUTER).args(["-c", &folder.file("router.conf")]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(router.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("Operational")).expect("it starts");
    signal(&router.id().to_string(), fault);
    let told: Vec<String> = lines.collect();
    assert_eq!(router.wait().unwrap().signal(), Some(fault as i32), "it dies of what it was sent");
    told.join("\n")
}

#[test]
fn a_fatal_signal_is_reported() {
    for (fault, shown) in [(Signal::SIGSEGV, "Signal: 11 SIGSEGV"), (Signal::SIGABRT, "Signal: 6 SIGABRT")] {
        let told = fatally_signalled(fault);
        let version = format!("Version: {}", router_engine::VERSION);
        for part in ["*** SKUPPER-ROUTER FATAL ERROR ***", &version, shown, "(skrouterd)", "[0] IP: 0x", "[stack]"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(told.ends_with("*** END ***"), "{told}");
    }
}
