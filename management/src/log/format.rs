//! Which format lines have: what is said of their module, or else of their output.

use std::sync::OnceLock;

/// The variable that chooses formats: `text` or `json` for all outputs, `<output>=<format>` for one, separated by commas.
pub(super) const VARIABLE: &str = "SKUPPER_ROUTER_LOG_FORMAT";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The known text.
    #[default]
    Text,
    /// An object of JSON a line.
    Json,
}

/// The formats of the outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Formats {
    others: Format,
    outputs: Vec<(String, Format)>,
    /// What was asked for in words that mean nothing.
    pub(super) refused: Vec<String>,
}

/// The formats that the environment asks for.
pub(super) fn formats() -> &'static Formats {
    static FORMATS: OnceLock<Formats> = OnceLock::new();
    FORMATS.get_or_init(|| Formats::parse(&std::env::var(VARIABLE).unwrap_or_default()))
}

// === impl Format ===

impl Format {
    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

// === impl Formats ===

impl Formats {
    pub(super) fn parse(text: &str) -> Self {
        let mut formats = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (output, name) = item.rsplit_once('=').map_or((None, item), |(output, name)| (Some(output), name));
            match (output, Format::from_name(name)) {
                (None, Some(format)) => formats.others = format,
                (Some(output), Some(format)) => formats.outputs.push((output.to_owned(), format)),
                (_, None) => formats.refused.push(item.to_owned()),
            }
        }
        formats
    }

    /// The format of the output of that name.
    pub(super) fn of(&self, output: &str) -> Format {
        self.outputs.iter().find(|(name, _)| name == output).map_or(self.others, |(_, format)| *format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_format_for_all_and_others_by_name() {
        let formats = Formats::parse("json, stderr=text,/tmp/a=b.log=text");
        assert_eq!(
            ["stderr", "/tmp/a=b.log", "syslog"].map(|o| formats.of(o)),
            [Format::Text, Format::Text, Format::Json]
        );
    }

    #[test]
    fn lines_are_text_unless_something_else_is_asked_for() {
        let formats = Formats::parse("");
        assert_eq!(formats, Formats::default());
        assert_eq!(formats.of("stderr"), Format::Text);
        let formats = Formats::parse("JSON,stderr=xml,");
        assert_eq!(
            (formats.of("stderr"), &formats.refused[..]),
            (Format::Text, &["JSON".into(), "stderr=xml".into()][..])
        );
    }
}
