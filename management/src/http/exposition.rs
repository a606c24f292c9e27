//! Figures in the text format of Prometheus.

use crate::figures::{Family, Label, Sink, Value};
use adaptors::histogram::Snapshot;
use std::borrow::Cow;
use std::fmt::{Display, Write};

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) String);

// === impl Text ===

impl Sink for Text {
    fn family(&mut self, Family { name, kind, help }: &Family) {
        // A string takes whatever is written to it.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    fn value(&mut self, family: &Family, labels: &[Label<'_>], value: Value) {
        match value {
            Value::Whole(value) => self.line(family, "", labels, None, value),
            Value::Real(value) => self.line(family, "", labels, None, value),
            Value::Times(Snapshot { cumulative, count, sum }) => {
                for (bound, count) in cumulative {
                    self.line(family, "_bucket", labels, Some(&bound.as_secs_f64().to_string()), count);
                }
                self.line(family, "_bucket", labels, Some("+Inf"), count);
                self.line(family, "_sum", labels, None, sum.as_secs_f64());
                self.line(family, "_count", labels, None, count);
            }
        }
    }
}

impl Text {
    /// A value. Behind the name comes a blank, which scrapers skip: checks of the known figures take the first word of a
    /// line for a name.
    fn line(&mut self, family: &Family, suffix: &str, labels: &[Label<'_>], bound: Option<&str>, value: impl Display) {
        let text = &mut self.0;
        text.push_str(family.name);
        text.push_str(suffix);
        let bound = bound.map(|bound| ("le", Cow::from(bound)));
        let mut opening = " {";
        for (key, label) in labels.iter().chain(&bound) {
            text.push_str(opening);
            text.push_str(key);
            text.push_str("=\"");
            push_escaped(text, label);
            text.push('"');
            opening = ",";
        }
        let closing = if opening == "," { "}" } else { "" };
        let _ = writeln!(text, "{closing} {value}");
    }
}

/// The value of a label, as the format wants it.
fn push_escaped(text: &mut String, value: &str) {
    if !value.contains(['\\', '"', '\n']) {
        return text.push_str(value);
    }
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Kind, tell_all, testing};
    use std::time::Duration;

    const FAMILY: Family = Family { name: "skrouter_x_seconds", kind: Kind::Histogram, help: "X." };

    #[test]
    fn values_of_labels_do_not_end_early() {
        let mut text = Text::default();
        text.value(&FAMILY, &[("a", "a\\b\"c\nd".into()), ("b", "".into())], Value::Whole(7));
        assert_eq!(text.0, "skrouter_x_seconds {a=\"a\\\\b\\\"c\\nd\",b=\"\"} 7\n");
    }

    #[test]
    fn a_histogram_has_all_its_lines() {
        let mut text = Text::default();
        text.family(&FAMILY);
        let cumulative = [(5, 1), (2500, 3)].map(|(millis, count)| (Duration::from_millis(millis), count)).to_vec();
        let times = Snapshot { cumulative, count: 4, sum: Duration::from_micros(7_000_001) };
        text.value(&FAMILY, &[("name", "n".into())], Value::Times(times.clone()));
        text.value(&FAMILY, &[], Value::Times(Snapshot { cumulative: Vec::new(), ..times }));
        assert_eq!(
            text.0,
            "# HELP skrouter_x_seconds X.\n\
             # TYPE skrouter_x_seconds histogram\n\
             skrouter_x_seconds_bucket {name=\"n\",le=\"0.005\"} 1\n\
             skrouter_x_seconds_bucket {name=\"n\",le=\"2.5\"} 3\n\
             skrouter_x_seconds_bucket {name=\"n\",le=\"+Inf\"} 4\n\
             skrouter_x_seconds_sum {name=\"n\"} 7.000001\n\
             skrouter_x_seconds_count {name=\"n\"} 4\n\
             skrouter_x_seconds_bucket {le=\"+Inf\"} 4\n\
             skrouter_x_seconds_sum 7.000001\n\
             skrouter_x_seconds_count 4\n"
        );
    }

    #[tokio::test]
    async fn the_first_word_of_a_line_is_a_name() {
        let mut text = Text::default();
        tell_all(&testing::io(), &mut text);
        for line in text.0.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && name.starts_with("skrouter_"),
                "{line}"
            );
        }
    }
}
