//! curl, which tells of each request what it has sent and received.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use interop_tests::apps::{Stage, require};
use interop_tests::harness::output_of;

use crate::Request;

/// What is told of each request.
const TRUTH: &str = "%{method} %{response_code} %{size_upload} %{size_download}\n";

/// Requests, one after the other.
pub(crate) struct Curl {
    program: PathBuf,
    options: Vec<String>,
    base: String,
    requests: Vec<Vec<String>>,
}

// === impl Curl ===

impl Curl {
    /// With options that all requests have.
    pub(crate) fn new(stage: &Stage, options: &[&str]) -> Result<Self> {
        let common = ["--silent", "--show-error", "--output", "/dev/null", "--max-time", "60", "--write-out", TRUTH];
        let mut options: Vec<_> = common.iter().chain(options).map(|option| (*option).to_owned()).collect();
        let scheme = match stage.client_tls() {
            Some(files) => {
                options.extend(["--cacert".to_owned(), files.ca.display().to_string()]);
                "https"
            }
            None => "http",
        };
        let base = format!("{scheme}://localhost:{}", stage.port());
        Ok(Self { program: require("curl")?, options, base, requests: Vec::new() })
    }

    /// Adds a request with options of its own.
    pub(crate) fn request(&mut self, options: &[&str], path: &str) {
        let own = options.iter().map(|option| (*option).to_owned());
        let target = format!("{}{path}", self.base);
        self.requests.push(self.options.iter().cloned().chain(own).chain([target]).collect());
    }

    /// Makes them over one connection, as far as the server lets it. What they truly were.
    pub(crate) fn together(self, protocol: &str, input: &[u8]) -> Result<Vec<Request>> {
        made(Command::new(&self.program).args(self.requests.join(&"--next".to_owned())), protocol, input)
    }

    /// Makes them over a connection each.
    pub(crate) fn apart(self, protocol: &str, input: &[u8]) -> Result<Vec<Request>> {
        let made = |request: &Vec<String>| made(Command::new(&self.program).args(request), protocol, input);
        Ok(self.requests.iter().map(made).collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Makes requests; `input` is for the one that reads it.
fn made(command: &mut Command, protocol: &str, input: &[u8]) -> Result<Vec<Request>> {
    let said = String::from_utf8(output_of(command, input)?)?;
    said.lines().map(|line| truth(protocol, line).with_context(|| line.to_owned())).collect()
}

fn truth(protocol: &str, line: &str) -> Result<Request> {
    let mut words = line.split(' ');
    let mut next = || words.next().context("too few words");
    let (method, result) = (next()?, next()?.parse()?);
    Ok(Request::new(protocol, method, result, [next()?.parse()?, next()?.parse()?]))
}
