//! A router for the tests, and the tools against it.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Only bounds failures.
const PATIENCE: Duration = Duration::from_secs(30);

/// A router with one AMQP listener, ended and tidied up when dropped, and the tool that is tried on it.
pub(crate) struct Router {
    tool: &'static str,
    folder: PathBuf,
    process: Child,
    bus: String,
}

impl Router {
    /// None: it was not built.
    pub(crate) fn start(tool: &'static str, test: &str) -> Option<Self> {
        Self::with_listener(tool, test, "")
    }

    /// The same with more attributes of the listener, a line each.
    pub(crate) fn with_listener(tool: &'static str, test: &str, more: &str) -> Option<Self> {
        let program = Path::new(tool).with_file_name("skrouterd");
        if !program.exists() {
            assert!(std::env::var_os("INTEROP_REQUIRE_PEERS").is_none(), "{program:?} is not built");
            println!("skipped: {program:?} is not built");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("tools-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listener = format!("listener {{\n name: amqp\n host: 127.0.0.1\n port: {port}\n{more}}}\n");
        std::fs::write(folder.join("conf"), format!("router {{\n mode: interior\n id: A\n}}\n{listener}")).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let router = Self { tool, folder, process: command.spawn().unwrap(), bus: format!("127.0.0.1:{port}") };
        let begun = Instant::now();
        while TcpStream::connect(&router.bus).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the router listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(router)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.tool).args(["-b", &self.bus]).args(arguments).output().unwrap()
    }

    /// What it prints when it succeeds.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }

    /// Its status and what it says when it fails.
    pub(crate) fn failure(&self, arguments: &[&str]) -> (Option<i32>, String) {
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
