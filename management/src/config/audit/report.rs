//! What was found in a configuration file, and how it is told.

use std::fmt;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the router would refuse it or not do what it says; otherwise it is only worth knowing.
    pub is_problem: bool,
    /// The number of the line, from one; none of what the file leaves out.
    pub line: Option<usize>,
    /// What it is.
    pub text: String,
    /// What to do.
    pub advice: Option<String>,
}

/// All that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    path: String,
    findings: Vec<Finding>,
}

// === impl Report ===

impl Report {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), findings: Vec::new() }
    }

    /// Whether a router can be started with the file.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems() == 0
    }

    /// What was found, in the order of the file.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn problems(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_problem).count()
    }

    pub(super) fn problem(&mut self, line: Option<usize>, text: impl Into<String>, advice: Option<String>) {
        self.add(Finding { is_problem: true, line, text: text.into(), advice });
    }

    pub(super) fn note(&mut self, line: Option<usize>, text: impl Into<String>, advice: Option<String>) {
        self.add(Finding { is_problem: false, line, text: text.into(), advice });
    }

    /// What several entities suffer from, such as a file that they share, is told once.
    fn add(&mut self, finding: Finding) {
        if !self.findings.iter().any(|known| known.text == finding.text && known.line == finding.line) {
            self.findings.push(finding);
        }
    }

    pub(super) fn sort(&mut self) {
        self.findings.sort_by_key(|finding| finding.line.unwrap_or(usize::MAX));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let place = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            let note = if finding.is_problem { "" } else { "note: " };
            writeln!(f, "{}{place}: {note}{}", self.path, finding.text)?;
            for line in finding.advice.iter().flat_map(|advice| advice.lines()) {
                writeln!(f, "    {line}")?;
            }
        }
        match self.problems() {
            0 => writeln!(f, "{}: no problems found", self.path),
            1 => writeln!(f, "{}: 1 problem", self.path),
            several => writeln!(f, "{}: {several} problems", self.path),
        }
    }
}
