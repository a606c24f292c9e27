//! From the words of the command line to the exit status.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Command, FromArgMatches};

use super::usage::{Parsed, parse, usage_error};
use crate::error::{Error, Result};

/// With this variable set, failures are shown in full.
const DEBUG: &str = "_QPID_DISPATCH_TOOLS_DEBUG_";

/// Standard output, written as one piece: a failed command has printed all or nothing of a view.
#[derive(Debug, Default)]
pub struct Output {
    text: String,
}

// === impl Output ===

impl Output {
    /// Adds a line.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    /// What has not been written yet.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes what there is.
    ///
    /// # Errors
    /// Those of standard output.
    pub fn flush(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let mut out = io::stdout().lock();
        Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
    }
}

/// Parses the command line, runs `tool` with the options, and reports how it ended.
pub fn run<T, F>(mut command: Command, suffix: &str, tool: impl FnOnce(T) -> F) -> ExitCode
where
    T: FromArgMatches,
    F: Future<Output = Result<()>>,
{
    let options = match parse(command.clone(), suffix, env::args_os().collect()) {
        Parsed::Options(options) => options,
        Parsed::Done(status) => return status.into(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()),
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = tool(options) => Some(ended),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    match ended {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(Error::Usage(text))) => {
            usage_error(&mut command, suffix, &text);
            ExitCode::from(2)
        }
        Some(Err(error)) => report(&error),
        None => {
            println!();
            ExitCode::FAILURE
        }
    }
}

fn report(error: &Error) -> ExitCode {
    // Who reads no more, as `head`, has what they wanted.
    if matches!(error, Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::FAILURE;
    }
    if env::var_os(DEBUG).is_some() {
        eprintln!("{error:#?}");
    }
    let mut out = io::stdout();
    // If this cannot be written either, the status still tells.
    let _ = writeln!(out, "{}: {error}", error.name());
    if let Some(hint) = error.hint() {
        let (before, after) = if io::stderr().is_terminal() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        eprintln!("{before}hint: {hint}{after}");
    }
    ExitCode::FAILURE
}
