//! What a test's thread logs.

use super::{Level, LogModule, observe, set_mask};
use std::cell::RefCell;

/// Module, level and text. The text lives as long as the test's process.
pub(crate) type Line = (LogModule, Level, &'static str);

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Forgets what the thread has logged so far, and keeps what it logs from now on.
pub(crate) fn start() {
    observe(|record| {
        let line = (record.module, record.level, &*record.text().to_string().leak());
        LINES.with_borrow_mut(|lines| lines.push(line));
    });
    LogModule::ALL.into_iter().for_each(|module| set_mask(module, u8::MAX));
    LINES.take();
}

/// What the thread has logged since [`start`].
pub(crate) fn lines() -> Vec<Line> {
    LINES.with_borrow(Clone::clone)
}

/// As [`lines`], without those of level debug.
pub(crate) fn notable() -> Vec<Line> {
    lines().into_iter().filter(|(_, level, _)| *level > Level::Debug).collect()
}

/// Texts of what a module has logged since [`start`].
pub(crate) fn texts(wanted: LogModule) -> Vec<&'static str> {
    lines().into_iter().filter(|(module, ..)| *module == wanted).map(|(.., text)| text).collect()
}
