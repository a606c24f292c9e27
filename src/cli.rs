//! The command line, with the manners of getopt_long.

use std::fmt::Write as _;
use std::time::Duration;

/// Where the configuration is when the command line does not say.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/skupper-router/skrouterd.conf";

/// Where the library is when the command line does not say. Nothing is read from it.
const DEFAULT_LIBRARY: &str = "/usr/lib/skupper-router/python";

/// What the process is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Be a router.
    Run(Options),
    /// Tell what is wrong with this configuration file, and end.
    Check(String),
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
}

/// How to be a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The configuration file.
    pub(crate) config: String,
    /// A directory that has to exist, when given.
    pub(crate) library: Option<String>,
    /// Run as a daemon.
    pub(crate) daemon: bool,
    /// Where the daemon writes its process id.
    pub(crate) pidfile: Option<String>,
    /// Whom the daemon runs as.
    pub(crate) user: Option<String>,
    /// Enable what only tests need.
    pub(crate) test_hooks: bool,
    /// Start without certificates that are not there yet, and use them once they are.
    pub(crate) await_certificates: bool,
    /// How long what is under way may go on once the router is to stop, when given.
    pub(crate) drain: Option<Duration>,
    /// Somebody else in the process keeps the configuration: SIGHUP is for them to heed, and a listener that cannot listen
    /// is for them to tell of.
    pub(crate) is_kept: bool,
    /// Only check the configuration.
    check: bool,
}

/// What is wrong with the command line. The usage is to be printed as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageError(pub(crate) String);

/// An option: long name, short name, whether it takes an argument.
struct Spec {
    long: &'static str,
    /// None: it may not be abbreviated either, so that what stands for the known options goes on to do so.
    short: Option<char>,
    takes: bool,
}

/// Options of this implementation.
const CHECK: &str = "check";
const DRAIN: &str = "drain";
pub(crate) const AWAIT_CERTIFICATES: &str = "await-certificates";

const fn spec(long: &'static str, short: char, takes: bool) -> Spec {
    Spec { long, short: Some(short), takes }
}

const OPTIONS: [Spec; 11] = [
    spec("config", 'c', true),
    spec("include", 'I', true),
    spec("daemon", 'd', false),
    spec("pidfile", 'P', true),
    spec("user", 'U', true),
    spec("test-hooks", 'T', false),
    Spec { long: CHECK, short: None, takes: false },
    Spec { long: DRAIN, short: None, takes: true },
    Spec { long: AWAIT_CERTIFICATES, short: None, takes: false },
    spec("version", 'v', false),
    spec("help", 'h', false),
];

impl Default for Options {
    fn default() -> Self {
        Self {
            config: DEFAULT_CONFIG.to_owned(),
            library: None,
            daemon: false,
            pidfile: None,
            user: None,
            test_hooks: false,
            drain: None,
            await_certificates: false,
            is_kept: false,
            check: false,
        }
    }
}

/// Reads the command line; `program` is the name in complaints.
pub(crate) fn parse(program: &str, arguments: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter();
    let mut options = Options::default();
    let mut words = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            words.extend(arguments.by_ref());
        } else if let Some(long) = argument.strip_prefix("--") {
            let (spec, value) = long_option(program, long)?;
            let value =
                match value {
                    None if spec.takes => Some(arguments.next().ok_or_else(|| {
                        UsageError(format!("{program}: option '--{}' requires an argument", spec.long))
                    })?),
                    value => value,
                };
            if let Some(command) = options.apply(program, spec, value)? {
                return Ok(command);
            }
        } else if argument.len() > 1 && argument.starts_with('-') {
            if let Some(command) = options.apply_cluster(program, &argument[1..], &mut arguments)? {
                return Ok(command);
            }
        } else {
            words.push(argument);
        }
    }
    if !words.is_empty() {
        return Err(UsageError(format!("Unexpected arguments: {}\n", words.join(" "))));
    }
    Ok(if options.check { Command::Check(options.config) } else { Command::Run(options) })
}

/// The option that a long name, or the beginning of one, stands for.
fn long_option(program: &str, text: &str) -> Result<(&'static Spec, Option<String>), UsageError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let stands_for = |s: &&Spec| s.long == name || s.short.is_some() && s.long.starts_with(name);
    let candidates: Vec<&'static Spec> = OPTIONS.iter().filter(stands_for).collect();
    let exact = candidates.iter().copied().find(|s| s.long == name);
    let spec = match (exact, candidates.as_slice()) {
        (Some(spec), _) | (None, &[spec]) => spec,
        (None, []) => return Err(UsageError(format!("{program}: unrecognized option '--{name}'"))),
        (None, several) => {
            let names: String = several.iter().map(|s| format!(" '--{}'", s.long)).collect();
            return Err(UsageError(format!("{program}: option '--{name}' is ambiguous; possibilities:{names}")));
        }
    };
    if value.is_some() && !spec.takes {
        return Err(UsageError(format!("{program}: option '--{}' doesn't allow an argument", spec.long)));
    }
    Ok((spec, value))
}

// === impl Options ===

impl Options {
    /// Those of a router with a configuration file.
    pub(crate) fn with(config: String) -> Self {
        Self { config, ..Self::default() }
    }

    /// Applies the letters behind a dash; the argument of the last may follow as a word.
    fn apply_cluster(
        &mut self,
        program: &str,
        letters: &str,
        arguments: &mut impl Iterator<Item = String>,
    ) -> Result<Option<Command>, UsageError> {
        for (at, letter) in letters.char_indices() {
            let Some(spec) = OPTIONS.iter().find(|s| s.short == Some(letter)) else {
                return Err(UsageError(format!("{program}: invalid option -- '{letter}'")));
            };
            let rest = &letters[at + letter.len_utf8()..];
            let value = match (spec.takes, rest) {
                (false, _) => None,
                (true, "") => Some(
                    arguments
                        .next()
                        .ok_or_else(|| UsageError(format!("{program}: option requires an argument -- '{letter}'")))?,
                ),
                (true, rest) => Some(rest.to_owned()),
            };
            let done = spec.takes;
            if let Some(command) = self.apply(program, spec, value)? {
                return Ok(Some(command));
            }
            if done {
                break;
            }
        }
        Ok(None)
    }

    fn apply(&mut self, program: &str, spec: &Spec, value: Option<String>) -> Result<Option<Command>, UsageError> {
        match spec.short {
            Some('c') => self.config = value.unwrap_or_default(),
            Some('I') => self.library = value,
            Some('d') => self.daemon = true,
            Some('P') => self.pidfile = value,
            Some('U') => self.user = value,
            Some('T') => self.test_hooks = true,
            Some('v') => return Ok(Some(Command::Version)),
            Some(_) => return Ok(Some(Command::Help)),
            None if spec.long == DRAIN => {
                let text = value.unwrap_or_default();
                let drain = seconds(&text);
                let complaint = || UsageError(format!("{program}: option '--{DRAIN}' wants seconds, not '{text}'"));
                self.drain = Some(drain.ok_or_else(complaint)?);
            }
            None if spec.long == AWAIT_CERTIFICATES => self.await_certificates = true,
            None => self.check = true,
        }
        Ok(None)
    }
}

/// A whole number of seconds.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(|seconds: u32| Duration::from_secs(seconds.into()))
}

/// The usage text.
pub(crate) fn usage(program: &str) -> String {
    let mut text = format!("Usage: {program} [OPTIONS]\n\n");
    let mut option = |names: &str, description: &str| {
        let _ = writeln!(text, "  {names:<26} {description}");
    };
    option(&format!("-c, --config=PATH ({DEFAULT_CONFIG})"), "");
    option("", "Load configuration from file at PATH");
    option(&format!("-I, --include=PATH ({DEFAULT_LIBRARY})"), "");
    option("", "Location of Dispatch's Python library");
    option("-d, --daemon", "Run process as a SysV-style daemon");
    option("-P, --pidfile", "If daemon, the file for the stored daemon pid");
    option("-U, --user", "If daemon, the username to run as");
    option("-T, --test-hooks", "Enable internal system testing features");
    option("    --drain=SECONDS", "Finish what is under way, for so long at most, when stopped");
    option("    --await-certificates", "Start without certificates that are not there yet");
    option("    --check", "Tell what is wrong with the configuration, and end");
    option("-v, --version", "Print the version of Qpid Dispatch Router");
    option("-h, --help", "Print this help");
    let _ = writeln!(text, "\nA site of a Skupper network from a folder of its resources: {program} site --help");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse("skrouterd", line.split_whitespace().map(str::to_owned)).map_err(|e| e.0)
    }

    #[test]
    fn options_in_every_form() {
        let expected = Options {
            config: "a".to_owned(),
            library: Some("b".to_owned()),
            daemon: true,
            pidfile: Some("p".to_owned()),
            user: None,
            test_hooks: true,
            drain: None,
            await_certificates: false,
            is_kept: false,
            check: false,
        };
        for line in [
            "-c a -I b -d -P p -T",
            "-dTPp -ca -Ib",
            "--config=a --include b --daemon --pidfile=p --test-hooks",
            "--conf a --inc=b --da --pid p --test",
        ] {
            assert_eq!(parsed(line), Ok(Command::Run(expected.clone())), "{line}");
        }
        assert_eq!(parsed(""), Ok(Command::Run(Options::default())));
    }

    #[test]
    fn version_and_help_end_the_reading() {
        assert_eq!(parsed("-v --bogus"), Ok(Command::Version));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        assert_eq!(parsed("-h"), Ok(Command::Help));
    }

    #[test]
    fn a_check_is_no_run_and_has_no_short_form() {
        assert_eq!(parsed("--check -c f"), Ok(Command::Check("f".to_owned())));
        assert_eq!(parsed("--check"), Ok(Command::Check(DEFAULT_CONFIG.to_owned())));
        assert_eq!(parsed("--c f"), parsed("-c f"));
        assert_eq!(parsed("--ch"), Err("skrouterd: unrecognized option '--ch'".to_owned()));
    }

    #[test]
    fn a_drain_is_given_in_seconds_and_has_no_short_form() {
        let drain = |seconds| Options { drain: Some(Duration::from_secs(seconds)), ..Options::default() };
        assert_eq!(parsed("--drain 20"), Ok(Command::Run(drain(20))));
        assert_eq!(parsed("--drain=0"), Ok(Command::Run(drain(0))));
        assert_eq!(parsed("--d"), parsed("--daemon"));
        for wrong in ["--drain=-1", "--drain 5s", "--drain="] {
            assert!(parsed(wrong).expect_err("must be refused").contains("wants seconds"), "{wrong}");
        }
    }

    #[test]
    fn complaints() {
        let complaint = |line| parsed(line).expect_err("must be refused");
        assert_eq!(complaint("-x"), "skrouterd: invalid option -- 'x'");
        assert_eq!(complaint("--bogus"), "skrouterd: unrecognized option '--bogus'");
        assert_eq!(complaint("-c"), "skrouterd: option requires an argument -- 'c'");
        assert_eq!(complaint("--config"), "skrouterd: option '--config' requires an argument");
        assert_eq!(complaint("--daemon=x"), "skrouterd: option '--daemon' doesn't allow an argument");
        assert_eq!(complaint("foo -d bar"), "Unexpected arguments: foo bar\n");
    }

    #[test]
    fn usage_has_its_layout() {
        let text = usage("x");
        assert!(text.starts_with("Usage: x [OPTIONS]\n\n  -c, --config=PATH (/etc/skupper-router/skrouterd.conf)\n"));
        assert!(text.contains("\n                             Load configuration from file at PATH\n"));
        assert!(text.contains("\n  -d, --daemon               Run process as a SysV-style daemon\n"));
        assert!(text.contains("  -h, --help                 Print this help\n"));
    }
}
