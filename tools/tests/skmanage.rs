//! `skmanage` against a running router.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

const SKMANAGE: &str = env!("CARGO_BIN_EXE_skmanage");

/// Only bounds failures.
const PATIENCE: Duration = Duration::from_secs(30);

/// A router with one AMQP listener, ended and tidied up when dropped.
struct Router {
    folder: PathBuf,
    process: Child,
    bus: String,
}

impl Router {
    /// None: it was not built.
    fn start(test: &str) -> Option<Self> {
        let program = Path::new(SKMANAGE).with_file_name("skrouterd");
        if !program.exists() {
            assert!(std::env::var_os("INTEROP_REQUIRE_PEERS").is_none(), "{program:?} is not built");
            println!("skipped: {program:?} is not built");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("skmanage-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listener = format!("listener {{\n name: amqp\n host: 127.0.0.1\n port: {port}\n}}\n");
        std::fs::write(folder.join("conf"), format!("router {{\n mode: interior\n id: A\n}}\n{listener}")).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let router = Self { folder, process: command.spawn().unwrap(), bus: format!("127.0.0.1:{port}") };
        let begun = Instant::now();
        while TcpStream::connect(&router.bus).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the router listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(router)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(SKMANAGE).args(["-b", &self.bus]).args(arguments).output().unwrap()
    }

    /// What it prints when it succeeds.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }

    /// Its status and what it says when it fails.
    fn failure(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn entities_are_read_created_changed_and_deleted() {
    let Some(router) = Router::start("entities") else { return };
    let rows = router.json(&["query", "--type", "listener", "name", "role"]);
    assert_eq!(rows, serde_json::json!([{"name": "amqp", "role": "normal"}]));
    let created = router.json(&["create", "--type=tcpListener", "--name=l", "port=0", "address=a"]);
    assert_eq!((&created["observer"], &created["port"]), (&"auto".into(), &"0".into()));
    let updated = router.json(&["update", "--name=l", "observer=none"]);
    assert_eq!(updated["observer"], "none");
    assert_eq!(router.json(&["read", "--name=l"])["observer"], "none");
    assert_eq!(router.text(&["delete", "--name=l"]), "");
    let (status, text) = router.failure(&["read", "--name=l"]);
    assert!(status == Some(1) && text.starts_with("NotFoundStatus: No entity with name=l\n"), "{text}");
}

#[test]
fn the_way_to_a_router_is_timed_hop_by_hop() {
    let Some(router) = Router::start("way") else { return };
    let ping = router.text(&["ping", "A", "--count", "2"]);
    assert_eq!(ping.lines().count(), 3, "{ping}");
    assert!(ping.contains("seq=2 time=") && ping.contains("2 requests, min/avg/max = "), "{ping}");
    let trace = router.text(&["trace", "A"]);
    assert!(trace.starts_with(" 1  A  ") && trace.lines().count() == 1, "{trace}");
    let (status, text) = router.failure(&["trace", "B"]);
    assert!(status == Some(1) && text.contains("router A knows no way to B"), "{text}");
}

#[test]
fn what_is_wrong_has_a_status() {
    let Some(router) = Router::start("wrong") else { return };
    assert_eq!(router.failure(&["query", "--type", "zebra"]).0, Some(1));
    assert_eq!(router.failure(&[]).0, Some(2));
    assert_eq!(router.failure(&["--nonsense"]).0, Some(2));
    let nobody = Command::new(SKMANAGE).args(["-b", "127.0.0.1:1", "query"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}
