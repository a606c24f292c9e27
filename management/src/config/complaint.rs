//! What is wrong with a text, and where.

/// What a reader expected, or what it does not take, at a place of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) what: &'static str,
    /// Octets of the text before the place.
    pub(super) at: usize,
}

// === impl Complaint ===

impl Complaint {
    /// In the words that operators know: `Expecting ',' delimiter: line 2 column 10 (char 23)`. Lines and columns
    /// count from one, characters from zero.
    pub(super) fn within(self, text: &str) -> String {
        let before = &text[..self.at];
        let line = self.line(text);
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}: line {line} column {column} (char {})", self.what, before.chars().count())
    }

    /// The number of the line, from one.
    pub(super) fn line(self, text: &str) -> usize {
        text[..self.at].matches('\n').count() + 1
    }
}
