//! Parsing, usage errors, and what is generated from the definitions: completions and man pages.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command, FromArgMatches};
use clap_complete::Shell;

/// Hidden options that print something about the tool itself.
#[derive(Args, Clone, Debug)]
pub struct Generate {
    /// Print the script that completes options in a shell
    #[arg(long, value_name = "SHELL", hide = true)]
    pub completions: Option<Shell>,
    /// Print the man page
    #[arg(long, hide = true)]
    pub man: bool,
}

/// What to do after parsing.
pub(super) enum Parsed<T> {
    /// Run with these options.
    Options(T),
    /// Nothing more: end with this status.
    Done(u8),
}

/// Parses the command line, and does what can be done without a connection: help, versions, generated texts.
///
/// `suffix` follows the name of the tool in what it says about wrong usage.
pub(super) fn parse<T: FromArgMatches>(command: Command, suffix: &str, words: Vec<OsString>) -> Parsed<T> {
    let name = called_as(&words, command.get_name());
    let mut command = command.name(name.clone()).bin_name(name.clone()).infer_long_args(true);
    let parsed = command.try_get_matches_from_mut(words.clone()).and_then(|matches| {
        let generate = Generate::from_arg_matches(&matches)?;
        Ok((generate, T::from_arg_matches(&matches)?))
    });
    match parsed {
        Ok((generate, options)) => match generated(&generate, command, &name) {
            Some(text) => Parsed::Done(u8::from(std::io::stdout().write_all(&text).is_err())),
            None => Parsed::Options(options),
        },
        Err(error) if !error.use_stderr() => Parsed::Done(u8::from(error.print().is_err())),
        Err(error) => {
            let text = complaint(&error, &command, &words);
            usage_error(&mut command, suffix, &text);
            Parsed::Done(2)
        }
    }
}

/// Shows how the tool is used, and what is wrong.
pub(super) fn usage_error(command: &mut Command, suffix: &str, text: &str) {
    let usage = command.render_usage();
    let name = command.get_name();
    eprintln!("{usage}\n{name}{suffix}: error: {text}\nTry '{name} --help'.");
}

/// The name of the file that was started: the tools may be installed under others.
fn called_as(words: &[OsString], own: &str) -> String {
    let path = words.first().map(Path::new).and_then(Path::file_name);
    path.map_or(own.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn generated(generate: &Generate, mut command: Command, name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(shell) = generate.completions {
        clap_complete::generate(shell, &mut command, name, &mut text);
    } else if generate.man {
        // Writing to memory does not fail.
        clap_mangen::Man::new(command).render(&mut text).ok()?;
    } else {
        return None;
    }
    Some(text)
}

/// The words that scripts may know from the tools of before.
fn complaint(error: &clap::Error, command: &Command, words: &[OsString]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(ContextValue::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let named = |kind| names(command, long_name(&context(kind)));
    let argument = named(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("unrecognized arguments: {}", context(ContextKind::InvalidArg)),
        ErrorKind::ArgumentConflict => {
            let mut pair = [argument, named(ContextKind::PriorArg)];
            // What comes second is what is wrong.
            pair.sort_by_key(|names| std::cmp::Reverse(last_place(words, names)));
            format!("argument {}: not allowed with argument {}", pair[0], pair[1])
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("argument {argument}: expected one argument")
        }
        ErrorKind::InvalidValue => {
            let choices = context(ContextKind::ValidValue);
            format!(
                "argument {argument}: invalid choice: '{}' (choose from {choices})",
                context(ContextKind::InvalidValue)
            )
        }
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("argument {argument}: {source}")
        }
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

/// `--limit <LIMIT>` without the value.
fn long_name(argument: &str) -> &str {
    argument.split([' ', '=', '[']).next().unwrap_or_default()
}

/// `-c/--connections`: all names of an option.
fn names(command: &Command, long: &str) -> String {
    let option = command.get_arguments().find(|known| known.get_long().is_some_and(|name| long == format!("--{name}")));
    match option.and_then(clap::Arg::get_short) {
        Some(short) => format!("-{short}/{long}"),
        None => long.to_owned(),
    }
}

/// Where an option with these names is in the command line, the last time.
fn last_place(words: &[OsString], names: &str) -> Option<usize> {
    let is_named = |word: &OsString| {
        let word = word.to_string_lossy();
        names.split('/').any(|name| match name.strip_prefix("--") {
            Some(_) => word.starts_with("--") && name.starts_with(long_name(&word)),
            None => !word.starts_with("--") && word.starts_with('-') && word.contains(&name[1..]),
        })
    };
    words.iter().rposition(is_named)
}

/// An integer option.
pub fn integer(text: &str) -> Result<i64, String> {
    crate::value::parse_integer(text).map_err(|_| format!("invalid int value: '{text}'"))
}
