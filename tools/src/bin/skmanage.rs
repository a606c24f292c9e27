//! `skmanage`: reads and changes the entities of a router.

use std::process::ExitCode;

fn main() -> ExitCode {
    tools::skmanage::main()
}
