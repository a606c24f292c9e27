//! The command line of a site.

use std::path::PathBuf;

/// What the process is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Be a site.
    Run(Options),
    /// Tell what is wrong with the resources, and end.
    Check(Options),
    /// Print the usage.
    Help,
}

/// Where things are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Folders of resources.
    pub(super) resources: Vec<PathBuf>,
    /// The folder of the namespace.
    pub(super) home: Option<PathBuf>,
    /// The namespace.
    pub(super) namespace: Option<String>,
}

/// Reads the words behind `site`.
///
/// # Errors
/// What is wrong with them.
pub(super) fn parse(words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut words = words.peekable();
    let is_check = words.next_if(|word| word == "check").is_some();
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let mut argument = || match value.clone().or_else(|| words.next()) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(format!("option '{name}' requires an argument")),
        };
        match &*name {
            "-h" | "--help" => return Ok(Command::Help),
            "-r" | "--resources" => options.resources.push(argument()?.into()),
            "--home" => options.home = Some(argument()?.into()),
            "-n" | "--namespace" => options.namespace = Some(argument()?),
            _ if name.starts_with('-') => return Err(format!("unrecognized option '{name}'")),
            _ if is_check => options.resources.push(word.into()),
            _ => return Err(format!("Unexpected argument: {word}")),
        }
    }
    Ok(if is_check { Command::Check(options) } else { Command::Run(options) })
}

/// The usage text.
pub(super) fn usage(program: &str) -> String {
    format!(
        "Usage: {program} site [OPTIONS]
       {program} site check [DIR]... [OPTIONS]

Is a site of a Skupper network, as the resources (skupper.io/v2alpha1) in the *.yaml, *.yml and *.json files of
folders ask for: Site, RouterAccess, Link and its Secret, Listener, MultiKeyListener, Connector, Certificate. The
folders are watched, and what changes in them is applied. 'check' tells what is wrong with the resources, and ends.

  -r, --resources=DIR        A folder of resources; may be given again
                             (HOME/input/resources)
      --home=DIR             The folder of the namespace, HOME: input/certs and input/issuers take certificates that
                             you bring; runtime/status.json tells the state of each resource, runtime/links has links
                             for other sites, runtime/certs and runtime/issuers what was made
                             (where the resources are in HOME/input/resources, that; otherwise
                             /var/lib/skupper/namespaces/NAME for root, ~/.local/share/skupper/namespaces/NAME)
  -n, --namespace=NAME       The namespace (that of the Site resource; default)
  -h, --help                 Print this help
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_in_every_form() {
        let expected = Options {
            resources: vec!["a".into(), "b".into()],
            home: Some("h".into()),
            namespace: Some("n".to_owned()),
        };
        for line in ["-r a --resources=b --home h -n n", "--resources a -r b --home=h --namespace=n"] {
            assert_eq!(parsed(line), Ok(Command::Run(expected.clone())), "{line}");
        }
        assert_eq!(parsed("check a b --home h -n n"), Ok(Command::Check(expected)));
        assert_eq!(parsed("check -h"), Ok(Command::Help));
    }

    #[test]
    fn complaints() {
        assert_eq!(parsed("a"), Err("Unexpected argument: a".to_owned()));
        assert_eq!(parsed("--bogus"), Err("unrecognized option '--bogus'".to_owned()));
        assert_eq!(parsed("--home"), Err("option '--home' requires an argument".to_owned()));
    }
}
