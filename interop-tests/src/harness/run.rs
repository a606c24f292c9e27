//! Running one test: failures show the logs of the routers it used.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use anyhow::Result;

use super::Log;

/// Log lines shown per router when a test fails.
const SHOWN: usize = 150;

thread_local! {
    static LOGS: RefCell<Vec<Arc<Log>>> = const { RefCell::new(Vec::new()) };
}

/// Why a test was left out. Returned as an error so that `?` ends the test.
#[derive(Debug)]
pub struct Skip(pub String);

/// Runs `test`. On failure the logs of all routers that it started on this thread are printed first.
///
/// # Panics
/// If the test fails, as the test runner expects.
pub fn run(test: impl FnOnce() -> Result<()>) {
    LOGS.with_borrow_mut(Vec::clear);
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => match error.downcast_ref::<Skip>() {
            Some(skip) => println!("skipped: {skip}"),
            None => {
                dump();
                panic!("{error:#}");
            }
        },
        Err(panic) => {
            dump();
            resume_unwind(panic);
        }
    }
}

/// Ends the test with the reason unless `found` holds something.
///
/// With `INTEROP_REQUIRE_PEERS` set, a missing peer is a failure: a complete run must not pass by leaving tests out.
pub fn skip_unless<T>(found: Option<T>, reason: &str) -> Result<T> {
    match found {
        Some(value) => Ok(value),
        None if std::env::var_os("INTEROP_REQUIRE_PEERS").is_some() => {
            Err(anyhow::anyhow!("INTEROP_REQUIRE_PEERS is set, but {reason}"))
        }
        None => Err(Skip(reason.to_owned()).into()),
    }
}

pub(crate) fn register(log: &Arc<Log>) {
    LOGS.with_borrow_mut(|logs| logs.push(Arc::clone(log)));
}

fn dump() {
    LOGS.with_borrow(|logs| logs.iter().for_each(|log| log.dump(SHOWN)));
}

// === impl Skip ===

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}
