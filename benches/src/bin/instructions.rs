//! Goes one of the paths of this crate, for `instructions.py` to count what that takes.
//!
//! ```text
//! instructions                 prints the names of all paths, and how often each is gone for a count
//! instructions NAME FACTOR     goes a path FACTOR times as often
//! ```

use benches::paths::ALL;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => ALL.iter().for_each(|(name, count, _)| println!("{name} {count}")),
        [name, factor] => {
            let path = ALL.iter().find(|(known, ..)| known == name);
            let (Some((_, count, set_up)), Ok(factor)) = (path, factor.parse::<u64>()) else {
                eprintln!("instructions: no such path, or no number");
                return ExitCode::FAILURE;
            };
            set_up()(count * factor);
        }
        _ => {
            eprintln!("usage: instructions [NAME FACTOR]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
