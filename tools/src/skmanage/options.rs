//! The command line of `skmanage`.

use clap::{ArgAction, CommandFactory, Parser};

use crate::cli::{ConnectionOptions, Generate};

/// Read and change the entities of a router.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "skmanage",
    version = crate::VERSION,
    disable_version_flag = true,
    override_usage = "skmanage <operation> [OPTIONS] [ARG...]",
    after_help = "Standard operations: QUERY, CREATE, READ, UPDATE, DELETE, GET-TYPES, GET-OPERATIONS, GET-ATTRIBUTES, \
                  GET-ANNOTATIONS, GET-MGMT-NODES, GET-SCHEMA, GET-LOG. Use GET-OPERATIONS to find additional \
                  operations.\n\nOf the tool itself: ping ROUTER measures the time to a router and back (--count), \
                  trace ROUTER that to each router on the way."
)]
pub struct Options {
    /// Operation, and what it takes: names of attributes, or ATTR=VALUE
    #[arg(value_name = "ARG")]
    pub words: Vec<String>,
    /// Router to be managed
    #[arg(short, long, value_name = "ROUTER-ID")]
    pub router: Option<String>,
    /// Edge router to be managed
    #[arg(short = 'd', long, value_name = "EDGE-ROUTER-ID")]
    pub edge_router: Option<String>,
    /// Type of entity to operate on
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Name of entity to operate on
    #[arg(long)]
    pub name: Option<String>,
    /// Identity of entity to operate on
    #[arg(long, value_name = "ID")]
    pub identity: Option<String>,
    /// Blanks by which JSON is indented; -1 means one line
    #[arg(long, default_value_t = 2, allow_negative_numbers = true, value_parser = crate::cli::integer)]
    pub indent: i64,
    /// Read attributes as JSON map or list of maps from standard input
    #[arg(long)]
    pub stdin: bool,
    /// JSON value to use as body of a non-standard operation
    #[arg(long)]
    pub body: Option<String>,
    /// JSON map to use as properties of a non-standard operation
    #[arg(long)]
    pub properties: Option<String>,
    /// Requests that ping sends
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub count: u32,
    /// Taken for compatibility
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Print the version
    #[arg(long)]
    pub version: bool,
    /// The router, and how to reach it.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// Hidden.
    #[command(flatten)]
    pub generate: Generate,
}

/// The definition of the command line.
pub fn command() -> clap::Command {
    Options::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        let words = ["skmanage"].into_iter().chain(line.split(' '));
        let matches = command().infer_long_args(true).try_get_matches_from(words)?;
        clap::FromArgMatches::from_arg_matches(&matches)
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn options_stand_anywhere_and_are_abbreviated() {
        let options = parse("--indent=-1 update --id 5 a=-1 b -t 0.5 --ty x c=d=e").expect("options");
        assert_eq!(options.words, ["update", "a=-1", "b", "c=d=e"]);
        assert_eq!((options.indent, options.identity.as_deref(), options.kind.as_deref()), (-1, Some("5"), Some("x")));
        assert_eq!(options.connection.timeout.as_millis(), 500);
    }

    #[test]
    fn misspelt_options_are_errors() {
        assert!(parse("query --tpye x").is_err());
        assert!(parse("query --indent x").is_err());
    }
}
