//! The book below `docs`: what it shows works, and what it says of names is complete.
//!
//! ```text
//!  chapter --pages--> blocks: conf, json   written where a file is named, and checked by `skrouterd --check`
//!                             sh           run in their order in one shell, each command until it succeeds
//!                             output       what the command before it prints, `...` for anything
//!                             log          lines that routers write: as the sources have them, or routers that fail
//!                             yaml         rules for Prometheus, checked by promtool; resources of sites are written
//!                             text         not run; a comment in front says why
//! ```
//!
//! Ports that a chapter shows are replaced by free ones, and `/etc/skupper-router` by a folder of the test.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod chapter;
#[path = "../common/mod.rs"]
mod common;
mod failures;
mod names;
mod pages;
mod reference;
mod shell;

/// A test of what each chapter shows.
macro_rules! chapters {
    ($($name:ident $file:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            chapter::check($file);
        })+

        #[test]
        fn every_chapter_is_checked() {
            let mut chapters = pages::chapters();
            chapters.retain(|chapter| !pages::WITHOUT_BLOCKS.contains(&chapter.as_str()));
            let mut checked = [$($file),+];
            checked.sort_unstable();
            assert_eq!(chapters, checked);
        }
    };
}

chapters! {
    getting_started "docs/src/getting-started.md",
    from_the_c_router "docs/src/from-the-c-router.md",
    services "docs/src/services.md",
    operating "docs/src/operating.md",
    policy "docs/src/policy.md",
    metrics "docs/src/metrics.md",
    troubleshooting "docs/src/troubleshooting.md",
    limits "docs/src/limits.md",
    sites "docs/src/sites.md",
    networks "docs/src/networks.md",
    command_line "docs/src/command-line.md",
    readme "README.md",
}

/// A part of a test is left out for want of a program; not so where all are there by agreement.
fn skip(program: &str) {
    assert!(
        std::env::var_os("INTEROP_REQUIRE_PEERS").is_none(),
        "INTEROP_REQUIRE_PEERS is set, but {program} is not installed"
    );
    println!("skipped: {program} is not installed");
}
