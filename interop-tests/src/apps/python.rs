//! Servers and clients in Python.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::harness::skip_unless;
use crate::peers::{python, scripts};

/// The Python that has a module, without which the test is left out.
pub fn python_with(module: &str) -> Result<PathBuf> {
    let has_module = |program: &PathBuf| {
        let output = Command::new(program)
            .args(["-c", &format!("import importlib.util as i; exit(not i.find_spec({module:?}))")])
            .env_remove("PYTHONPATH")
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    skip_unless(python().filter(has_module), &format!("the Python module {module} is not installed"))
}

/// One of our scripts, which needs a module.
pub fn script(module: &str, name: &str) -> Result<Command> {
    let mut command = Command::new(python_with(module)?);
    command.arg(scripts().join(name)).env_remove("PYTHONPATH");
    Ok(command)
}
