//! HTTP by the letter at HTTP listeners and connectors: what is right is carried, what is wrong ends where the standards
//! let it end, and the server behind gets nothing that is not well-formed.
//!
//! Cases are rows of tables, written from RFC 9110, 9112, 9113 and 7541. `INTEROP_HTTP_PROXY` has them run at another
//! proxy (nginx, haproxy or nghttpx), which shows how strict a case is: each of these fails some.

use anyhow::{Result, ensure};
use interop_tests::http_services::{Front, Version};

mod http1;
mod http2;

/// A test that runs a table of cases.
macro_rules! tables {
    ($run:path; $($(#[$attribute:meta])* $name:ident;)*) => {$(
        #[test]
        $(#[$attribute])*
        fn $name() {
            interop_tests::harness::run(|| $run(cases::$name()));
        }
    )*};
}
use tables;

/// Runs the cases of a table, each with a target of its own, and tells of all that fail.
fn run_cases<C>(
    version: Version,
    cases: &[C],
    name: impl Fn(&C) -> &str,
    run: impl Fn(&Front, &C, &str) -> Result<()>,
) -> Result<()> {
    let front = Front::open(version)?;
    let mut failures = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if let Err(error) = run(&front, case, &format!("/case-{number}-")) {
            failures.push(format!("{}: {error:#}", name(case)));
        }
    }
    println!("{} cases", cases.len());
    ensure!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
    Ok(())
}
