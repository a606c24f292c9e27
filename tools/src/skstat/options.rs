//! The command line of `skstat`.

use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, CommandFactory, Parser};

use super::view::View;
use crate::cli::{ConnectionOptions, Generate};
use crate::display::Form;

/// Show the state of a router, or of its whole network.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "skstat",
    version = crate::VERSION,
    disable_version_flag = true,
    group = ArgGroup::new("target"),
    group = ArgGroup::new("form")
)]
pub struct Options {
    /// What to show.
    #[command(flatten)]
    pub display: Display,
    /// Show entities of all routers in the network, one after another
    #[arg(long, group = "target", help_heading = "Target")]
    pub all_routers: bool,
    /// Router to be asked
    #[arg(short, long, value_name = "ROUTER-ID", group = "target", help_heading = "Target")]
    pub router: Option<String>,
    /// Edge router to be asked
    #[arg(short = 'd', long, value_name = "EDGE-ROUTER-ID", group = "target", help_heading = "Target")]
    pub edge_router: Option<String>,
    /// Most rows to show; 0 means all
    #[arg(long, default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = crate::cli::integer)]
    pub limit: i64,
    /// Write tables as comma-separated values
    #[arg(long, group = "form")]
    pub csv: bool,
    /// Write one JSON document for each router
    #[arg(long, group = "form")]
    pub json: bool,
    /// Show it again and again, after so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    pub watch: Option<Duration>,
    /// Show more columns
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

/// Which view. At most one is chosen.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Display")]
#[group(multiple = false)]
pub struct Display {
    /// Show general statistics of the router (the default)
    #[arg(short, long)]
    general: bool,
    /// Show connections
    #[arg(short, long)]
    connections: bool,
    /// Show links
    #[arg(short, long)]
    links: bool,
    /// Show the routers of the network
    #[arg(short, long)]
    nodes: bool,
    /// Show connections of edge routers
    #[arg(short, long)]
    edge: bool,
    /// Show addresses
    #[arg(short, long)]
    address: bool,
    /// Show memory
    #[arg(short, long)]
    memory: bool,
    /// Show the policy
    #[arg(short, long)]
    policy: bool,
    /// Show auto-links
    #[arg(long)]
    autolinks: bool,
    /// Show vhosts
    #[arg(long)]
    vhosts: bool,
    /// Show groups of vhosts
    #[arg(long)]
    vhostgroups: bool,
    /// Show statistics of vhosts
    #[arg(long)]
    vhoststats: bool,
    /// Show recent log entries
    #[arg(long)]
    log: bool,
    /// Show all of these
    #[arg(long)]
    all_entities: bool,
    /// Draw the network as a tree: routers, costs, edge routers
    #[arg(long)]
    topology: bool,
}

// === impl Options ===

impl Options {
    /// Most rows; 0 means all.
    pub fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(0)
    }

    /// The form of the output.
    pub fn form(&self) -> Form {
        match (self.csv, self.json) {
            (true, _) => Form::Csv,
            (_, true) => Form::Json,
            _ => Form::Table,
        }
    }
}

// === impl Display ===

impl Display {
    /// The chosen view.
    pub fn view(&self) -> View {
        let chosen = [
            (self.connections, View::Connections),
            (self.links, View::Links),
            (self.nodes, View::Nodes),
            (self.edge, View::Edges),
            (self.address, View::Addresses),
            (self.memory, View::Memory),
            (self.policy, View::Policy),
            (self.autolinks, View::AutoLinks),
            (self.vhosts, View::Vhosts),
            (self.vhostgroups, View::VhostGroups),
            (self.vhoststats, View::VhostStats),
            (self.log, View::Log),
            (self.all_entities, View::All),
            (self.topology, View::Topology),
        ];
        chosen.iter().find(|(chosen, _)| *chosen).map_or(View::General, |(_, view)| *view)
    }
}

/// The definition of the command line.
pub fn command() -> clap::Command {
    Options::command()
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.1);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("invalid interval: '{text}' (at least 0.1 seconds)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        let words = ["skstat"].into_iter().chain(line.split_whitespace());
        Options::from_arg_matches(&command().infer_long_args(true).try_get_matches_from(words)?)
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn views_and_forms() {
        assert_eq!(parse("").expect("none").display.view(), View::General);
        let options = parse("-av --limit=3 --csv").expect("options");
        assert_eq!((options.display.view(), options.verbose, options.limit()), (View::Addresses, 1, 3));
        assert_eq!(options.form(), Form::Csv);
        assert_eq!(parse("--watch").expect("watch").watch, Some(Duration::from_secs(2)));
        assert_eq!(parse("-c --watch 0.5").expect("watch").watch, Some(Duration::from_millis(500)));
    }

    #[test]
    fn what_excludes_each_other() {
        for line in ["-c -g", "--all-routers -r R", "-r R -d E", "--csv --json"] {
            assert_eq!(parse(line).expect_err(line).kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        assert_eq!(parse("foo").expect_err("word").kind(), ErrorKind::UnknownArgument);
    }
}
