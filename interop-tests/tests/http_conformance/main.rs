//! HTTP by the letter at HTTP listeners and connectors: what is right is carried, what is wrong ends where the standards
//! let it end, and the server behind gets nothing that is not well-formed.
//!
//! Cases are rows of tables, written from RFC 9110, 9112, 9113 and 7541. `INTEROP_HTTP_PROXY` has them run at another
//! proxy (nginx, haproxy or nghttpx), which shows how strict a case is: each of these fails some.

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

/// All that failed, in one message.
fn verdict(failures: &[String], cases: usize) -> anyhow::Result<()> {
    println!("{cases} cases");
    anyhow::ensure!(failures.is_empty(), "{} of {cases} cases failed:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
