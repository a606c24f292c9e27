//! Clients in other languages, run as processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Route;
use crate::harness::output_of;

/// A program that runs one theme per process.
#[derive(Clone, Debug)]
pub struct ProcessPeer {
    program: PathBuf,
    script: PathBuf,
    modules: Option<PathBuf>,
}

// === impl ProcessPeer ===

impl ProcessPeer {
    /// Proton's Python client: the Python of `INTEROP_PYTHON`, else of the environment that `make test` sets up.
    pub fn proton() -> Option<Self> {
        let program = python()?;
        Some(Self { program, script: scripts().join("peer.py"), modules: None })
    }

    /// rhea on Node.js: modules of `INTEROP_NODE_MODULES`, else those that `make test` installs.
    pub fn rhea() -> Option<Self> {
        let modules = std::env::var_os("INTEROP_NODE_MODULES").map(PathBuf::from);
        let modules = modules.or_else(|| in_target("rhea/node_modules"))?;
        Some(Self { program: "node".into(), script: scripts().join("rhea/peer.js"), modules: Some(modules) })
    }

    /// Runs one theme and fails, with all output, unless the process succeeds.
    pub fn run(&self, theme: &str, route: &Route) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg(&self.script).arg(theme);
        let addresses = [
            ("--send", route.send),
            ("--recv", route.recv),
            ("--send-tls", route.send_tls),
            ("--recv-tls", route.recv_tls),
        ];
        for (option, address) in addresses {
            command.args([option, &address.to_string()]);
        }
        let files = &route.certificates;
        for (option, file) in [("--ca", &files.ca), ("--certificate", &files.certificate), ("--key", &files.key)] {
            command.arg(option).arg(file);
        }
        command.args(["--routers", &route.routers.join(",")]);
        if route.over_websocket {
            command.arg("--websocket");
        }
        if let Some(modules) = &self.modules {
            command.env("NODE_PATH", modules);
        }
        // The peer speaks for itself: nothing of a router's Python may reach it.
        command.env_remove("PYTHONPATH");
        let ended = output_of(&mut command, &[]).map(drop);
        ended.with_context(|| format!("theme {theme} of {}", self.script.display()))
    }
}

/// The Python that has the peers' modules.
pub(crate) fn python() -> Option<PathBuf> {
    let set = std::env::var_os("INTEROP_PYTHON").map(PathBuf::from);
    set.or_else(|| in_target("venv/bin/python"))
}

/// The folder of the scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// A path below cargo's target folder, if this executable is in one and the path exists.
fn in_target(path: &str) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    executable.ancestors().skip(1).take(4).map(|folder| folder.join(path)).find(|path| path.exists())
}
