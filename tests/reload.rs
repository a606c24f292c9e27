//! The configuration file: checked without a router, and read again by one that runs.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use common::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const ROUTER: &str = env!("CARGO_BIN_EXE_skrouterd");

/// A folder with a configuration and a log, and the router that runs with it.
struct Router {
    folder: PathBuf,
    process: Option<Child>,
}

impl Router {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("reload-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, process: None }
    }

    fn configure(&self, config: &str) {
        let log = self.folder.join("log");
        let begin = format!("log {{\n module: DEFAULT\n outputFile: {}\n}}\nrouter {{\n id: A\n", log.display());
        std::fs::write(self.folder.join("conf"), begin + config).unwrap();
    }

    fn start(&mut self) {
        let config = self.folder.join("conf");
        let process = Command::new(ROUTER).arg("-c").arg(config).stderr(Stdio::null()).spawn().unwrap();
        self.process = Some(process);
        eventually("the router starts", || self.log().contains("Operational"));
    }

    fn hang_up(&self) {
        let pid = self.process.as_ref().unwrap().id().cast_signed();
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn check(&self) -> (Option<i32>, String) {
        let done = Command::new(ROUTER).arg("--check").arg("-c").arg(self.folder.join("conf")).output().unwrap();
        assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn listener(name: &str, port: u16) -> String {
    format!("listener {{\n name: {name}\n host: 127.0.0.1\n port: {port}\n}}\n")
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_check_tells_what_is_wrong_and_whether_anything_is() {
    let router = Router::new("check");
    router.configure(&format!("}}\n{}", listener("a", free_port())));
    let (status, text) = router.check();
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with("conf: no problems found\n"), "{text}");
    router.configure(" debugDump: x\n}\nconnectr {\n}\n");
    let (status, text) = router.check();
    assert_eq!(status, Some(1), "{text}");
    let file = router.folder.join("conf").display().to_string();
    let expected = format!(
        "{file}:7: router has no attribute 'debugDump'\n    write 'debugDumpFile'\n\
         {file}:9: there is no entity type 'connectr'\n    did you mean 'connector'?\n{file}: 2 problems\n"
    );
    assert_eq!(text, expected);
    std::fs::remove_file(router.folder.join("conf")).unwrap();
    assert_eq!(router.check().0, Some(1));
    assert_eq!(router.log(), "", "a check logs nothing");
}

#[test]
fn a_changed_file_is_applied_and_a_broken_one_is_not() {
    let mut router = Router::new("apply");
    let [first, second, third] = [(); 3].map(|()| free_port());
    router.configure(&format!("}}\n{}{}", listener("a", first), listener("b", second)));
    router.start();
    assert!(listens(first) && listens(second));
    router.configure(&format!(" workerThreads: 3\n}}\n{}{}", listener("a", first), listener("c", third)));
    router.hang_up();
    let done = "Configuration reloaded: 1 created, 0 updated, 0 replaced, 1 deleted";
    eventually("it is applied", || router.log().contains(done));
    assert!(router.log().contains("Reload: workerThreads of router takes effect at the next start"));
    eventually("the new one listens", || listens(third));
    eventually("the old one does not", || !listens(second));
    router.configure(&format!("}}\n{}{}nonsense {{\n}}\n", listener("a", first), listener("b", second)));
    router.hang_up();
    eventually("it is refused", || router.log().contains("Configuration not reloaded, nothing has changed"));
    assert!(router.log().contains("Reload: line 18: there is no entity type 'nonsense'"), "{}", router.log());
    assert!(listens(first) && listens(third) && !listens(second));
}

#[test]
fn a_log_file_that_was_renamed_is_opened_anew() {
    let mut router = Router::new("rotate");
    router.configure(&format!("}}\n{}", listener("a", free_port())));
    router.start();
    std::fs::rename(router.folder.join("log"), router.folder.join("log.1")).unwrap();
    router.hang_up();
    eventually("a new file begins", || router.log().contains("Configuration reloaded: 0 created, 0 updated"));
    let old = std::fs::read_to_string(router.folder.join("log.1")).unwrap();
    assert!(old.contains("Operational") && !old.contains("Reloading"), "{old}");
    let new = router.log();
    assert!(new.contains("Reloading the configuration") && !new.contains("Operational"), "{new}");
}
