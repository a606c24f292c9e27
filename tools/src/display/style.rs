//! Colours, where somebody sees them.

use std::env;
use std::io::IsTerminal;

/// Whether text is decorated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    on: bool,
}

// === impl Style ===

impl Style {
    /// On a terminal, unless `NO_COLOR` is set (<https://no-color.org>) or the terminal is a dumb one.
    pub fn of_stdout() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { on: std::io::stdout().is_terminal() && !unwanted && !dumb }
    }

    /// A title.
    pub fn title(self, text: &str) -> String {
        self.paint("1;36", text)
    }

    /// Headings of columns.
    pub fn heading(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What only separates.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
