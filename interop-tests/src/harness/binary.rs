//! Which router program a test runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::Skip;

/// A router program with the arguments and environment it needs.
#[derive(Clone, Debug)]
pub struct Binary {
    program: PathBuf,
    arguments: Vec<String>,
    python_path: Option<String>,
    name: &'static str,
}

// === impl Binary ===

impl Binary {
    /// The router under test: `SKROUTERD`, else the one cargo built beside this executable.
    pub fn ours() -> Result<Self> {
        if let Some(binary) = Self::from_environment("ours", "SKROUTERD", "SKROUTERD") {
            return Ok(binary);
        }
        let built = built_beside_us()?;
        Ok(Self { program: built, arguments: Vec::new(), python_path: None, name: "ours" })
    }

    /// The C router of `UPSTREAM_SKROUTERD`, with `UPSTREAM_ARGS` and `UPSTREAM_PYTHONPATH`.
    ///
    /// # Errors
    /// [`Skip`] if that is not set: the C router is not part of this project and rarely at hand.
    pub fn upstream() -> Result<Self> {
        let found = Self::from_environment("upstream", "UPSTREAM_SKROUTERD", "UPSTREAM");
        Ok(found.ok_or_else(|| Skip("UPSTREAM_SKROUTERD not set".to_owned()))?)
    }

    /// A C router that has HTTP services, of the 2.x line or 3.0: `UPSTREAM_HTTP_SKROUTERD`, with `UPSTREAM_HTTP_ARGS` and
    /// `UPSTREAM_HTTP_PYTHONPATH`.
    ///
    /// # Errors
    /// [`Skip`] if that is not set.
    pub fn upstream_with_http() -> Result<Self> {
        let found = Self::from_environment("upstream", "UPSTREAM_HTTP_SKROUTERD", "UPSTREAM_HTTP");
        Ok(found.ok_or_else(|| Skip("UPSTREAM_HTTP_SKROUTERD not set".to_owned()))?)
    }

    fn from_environment(name: &'static str, program: &str, prefix: &str) -> Option<Self> {
        let program = std::env::var_os(program).filter(|value| !value.is_empty())?;
        let arguments = std::env::var(format!("{prefix}_ARGS")).unwrap_or_default();
        Some(Self {
            program: program.into(),
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            python_path: std::env::var(format!("{prefix}_PYTHONPATH")).ok(),
            name,
        })
    }

    /// The same router, started by a launcher that gets the program and its arguments behind its own, and becomes it.
    #[must_use]
    pub fn launched_by(&self, program: &str, arguments: &[&str]) -> Self {
        let own = arguments.iter().map(|argument| (*argument).to_owned());
        let router = std::iter::once(self.program.display().to_string()).chain(self.arguments.clone());
        Self { program: program.into(), arguments: own.chain(router).collect(), ..self.clone() }
    }

    /// The same router with more arguments.
    #[must_use]
    pub fn with_arguments(&self, arguments: &[&str]) -> Self {
        let mut router = self.clone();
        router.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        router
    }

    /// `ours` or `upstream`, for names of routers and messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The program file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(path) = &self.python_path {
            command.env("PYTHONPATH", path);
        }
        command
    }
}

/// Looks in the folder of this executable and, for test executables in `deps`, in the one above.
fn built_beside_us() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let folders = executable.ancestors().skip(1).take(2);
    let candidates: Vec<_> = folders.map(|folder| folder.join("skrouterd")).collect();
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!("no skrouterd in {candidates:?}: build it with `cargo build --bin skrouterd` or set SKROUTERD"),
    }
}
