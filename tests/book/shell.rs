//! A shell that runs the commands of a chapter.

use crate::chapter::ROUTER;
use crate::common::PATIENCE;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Programs that a machine may be without; the tools may not have been built.
const MAYBE: [&str; 5] = ["openssl", "curl", "python3", "skmanage", "skstat"];

/// Why commands did not do what the page says.
pub(crate) enum Failure {
    /// The machine has not got this program.
    Missing(&'static str),
    /// They do something else.
    Wrong(String),
}

/// A shell, and what it has begun.
pub(crate) struct Shell {
    process: Child,
    statuses: Receiver<String>,
    folder: PathBuf,
    steps: usize,
}

/// The folders of the tools: beside the router, unless somebody says where they are.
fn search_path() -> String {
    let beside = Path::new(ROUTER).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{beside}:{path}:/usr/sbin")
}

fn found(program: &str) -> bool {
    search_path().split(':').any(|folder| Path::new(folder).join(program).is_file())
}

/// The commands of a block: a line, and what is indented below it or continues it.
fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let continues = line.starts_with(' ') || line.starts_with("done") || line.starts_with('}');
        match commands.last_mut() {
            Some(last) if continues || last.ends_with('\\') => *last += &format!("\n{line}"),
            _ => commands.push(line.to_owned()),
        }
    }
    commands
}

/// Whether the lines are in the output, in their order; `...` is for anything.
fn shows(output: &str, expected: &str) -> bool {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = output.lines().map(squeezed);
    expected.lines().map(squeezed).filter(|line| line != "...").all(|line| lines.any(|shown| is_like(&shown, &line)))
}

/// Whether the text is as the pattern says, in which `...` is for anything, the blanks beside it too.
pub(crate) fn is_like(text: &str, pattern: &str) -> bool {
    let mut pieces: Vec<&str> = pattern.split("...").map(str::trim).collect();
    let end = pieces.pop().unwrap_or_default();
    let Some((begin, between)) = pieces.split_first() else { return text == end };
    let Some(mut rest) = text.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)) else { return false };
    between.iter().all(|piece| {
        let found = rest.split_once(piece);
        rest = found.map_or(rest, |(_, behind)| behind);
        found.is_some()
    })
}

// === impl Shell ===

impl Shell {
    pub(crate) fn start(folder: &Path) -> Self {
        let log = std::fs::File::create(folder.join("stderr")).unwrap();
        let mut process = Command::new("bash")
            .current_dir(folder)
            .env("PATH", search_path())
            .env_remove("SKUPPER_ROUTER_LOG_FORMAT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let (send, statuses) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { process, statuses, folder: folder.to_owned(), steps: 0 }
    }

    /// Runs the commands, each until it succeeds: a reader is slower than a router that starts. The last one shows what is
    /// expected.
    pub(crate) fn run_block(&mut self, text: &str, fails: bool, expected: &str) -> Result<(), Failure> {
        if let Some(program) = MAYBE.into_iter().find(|program| text.contains(program) && !found(program)) {
            return Err(Failure::Missing(program));
        }
        let commands = commands(text);
        for (at, command) in commands.iter().enumerate() {
            let is_last = at + 1 == commands.len();
            self.run_until(command, fails && is_last, if is_last { expected } else { "" })?;
        }
        Ok(())
    }

    fn run_until(&mut self, command: &str, fails: bool, expected: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let (status, output) = self.run(command)?;
            if (status != 0) == fails && shows(&output, expected) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let errors = std::fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
                let newest: Vec<_> = errors.lines().rev().take(20).collect();
                let newest = newest.into_iter().rev().collect::<Vec<_>>().join("\n");
                let wrong = format!("{command}\nstatus {status}, output:\n{output}\nexpected:\n{expected}\n{newest}");
                return Err(Failure::Wrong(wrong));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn run(&mut self, command: &str) -> Result<(i32, String), Failure> {
        self.steps += 1;
        let file = self.folder.join(format!("output-{}", self.steps));
        let input = self.process.stdin.as_mut().unwrap();
        // What is begun in the background keeps the output of its own.
        let text = format!("{{\n{command}\n}} > {} </dev/null\nprintf '%s\\n' $?\n", file.display());
        input.write_all(text.as_bytes()).unwrap();
        let status =
            self.statuses.recv_timeout(PATIENCE).map_err(|_| Failure::Wrong(format!("{command} does not end")))?;
        let output = std::fs::read_to_string(file).unwrap_or_default();
        Ok((status.parse().unwrap_or(-1), output))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

#[test]
fn outputs_are_compared_line_by_line() {
    assert!(shows("a  b\nc 17 d\ne\n", "a b\nc ... d\n") && shows("a\nb\n", "a\n...\nb\n"));
    assert!(!shows("c 17 d\na b\n", "a b\nc ... d\n") && !shows("c 17 dd e\n", "c ... f\n"));
    assert!(is_like("x = 1", "x = ...") && !is_like("x = 1", "x ="));
}
