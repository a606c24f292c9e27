//! `skstat`: shows the state of a router or of its whole network.

use std::process::ExitCode;

fn main() -> ExitCode {
    tools::skstat::main()
}
