//! The sectioned `.conf` syntax (spec `management-protocol.md` 7.1).
//!
//! The text is rewritten as JSON line by line and parsed as such, so that complaints carry the
//! positions that operators know.

use router_engine::log::{Level, LogModule};

/// Attributes whose value is JSON.
const JSON_ATTRIBUTES: [&str; 2] = ["openProperties", "groups"];

/// Attributes in whose value `#` stands for itself; they end at the first blank instead.
const HASH_ATTRIBUTES: [&str; 3] = ["pattern", "bindingKey", "hostname"];

/// The text rewritten as a JSON list of `[name, {attributes}]`.
#[must_use]
pub(super) fn to_json(text: &str) -> String {
    let mut rewriter = Rewriter { out: String::from("["), open: Vec::new(), braces: 0 };
    for (index, line) in text.lines().enumerate() {
        rewriter.line(index + 1, line.trim());
    }
    if rewriter.braces != 0 || !rewriter.open.is_empty() {
        nesting_warning();
    }
    let json = format!("{}]", rewriter.out.trim_end());
    without_surplus_commas(&json)
}

struct Rewriter {
    out: String,
    /// What is open, innermost last.
    open: Vec<Block>,
    /// Open braces of a JSON attribute.
    braces: usize,
}

#[derive(Clone, Copy)]
enum Block {
    Entity,
    Nested,
}

impl Rewriter {
    fn line(&mut self, number: usize, line: &str) {
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        if self.braces > 0 {
            return self.json_line(line);
        }
        let bare = before_comment(line);
        if bare == "}" {
            return self.close();
        }
        if let Some(name) = bare.strip_suffix('{').map(str::trim_end) {
            if is_word(name) {
                self.open.push(Block::Entity);
                self.out.push_str(&format!("[\"{name}\", {{\n"));
                return;
            }
            if let Some(name) = name.strip_suffix(':').map(str::trim_end) {
                if JSON_ATTRIBUTES.contains(&name) {
                    self.braces = 1;
                    self.out.push_str(&format!("\"{name}\": {{\n"));
                    return;
                }
                if is_word(name.strip_prefix('$').unwrap_or(name)) {
                    self.open.push(Block::Nested);
                    self.out.push_str(&format!("\"{name}\": {{\n"));
                    return;
                }
            }
        }
        if let Some((name, value)) = attribute(line, bare) {
            // Not escaped: what is between the quotes is JSON.
            self.out.push_str(&format!("\"{name}\": \"{value}\",\n"));
        } else if let Some((name, json)) = one_line_json(bare) {
            self.out.push_str(&format!("\"{name}\": {json},\n"));
        } else {
            router_engine::log!(
                LogModule::Agent,
                Level::Warning,
                "Invalid config file syntax (line {number}):\n>>> {line}"
            );
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Block::Nested) => self.out.push_str("},\n"),
            Some(Block::Entity) => self.out.push_str("}],\n"),
            None => {
                nesting_warning();
                self.out.push_str("}],\n");
            }
        }
    }

    fn json_line(&mut self, line: &str) {
        self.out.push_str(line);
        let mut in_text = false;
        let mut escaped = false;
        for c in line.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => in_text = !in_text,
                '{' if !in_text => self.braces += 1,
                '}' if !in_text => self.braces = self.braces.saturating_sub(1),
                _ => {}
            }
        }
        if self.braces == 0 && !line.ends_with(',') {
            self.out.push(',');
        }
        self.out.push('\n');
    }
}

fn nesting_warning() {
    router_engine::log!(LogModule::Agent, Level::Warning, "Configuration file: invalid entity nesting detected.");
}

fn before_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// `name : value`, the value being all that follows up to a comment.
fn attribute<'a>(line: &'a str, bare: &'a str) -> Option<(&'a str, &'a str)> {
    let (name, value) = bare.split_once(':')?;
    let name = name.trim_end();
    if !is_word(name.strip_prefix('$').unwrap_or(name)) {
        return None;
    }
    let value = if HASH_ATTRIBUTES.contains(&name) {
        line.split_once(':')?.1.split_whitespace().next()?
    } else {
        value.trim_start()
    };
    if value.is_empty() || value.starts_with('{') { None } else { Some((name, value)) }
}

/// A JSON attribute that opens and ends on its line.
fn one_line_json(bare: &str) -> Option<(&str, &str)> {
    let (name, json) = bare.split_once(':')?;
    let (name, json) = (name.trim_end(), json.trim_start());
    (JSON_ATTRIBUTES.contains(&name) && json.starts_with('{') && json.ends_with('}')).then_some((name, json))
}

/// Takes out commas right before a closing bracket or brace, together with the blanks between.
fn without_surplus_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut comma = None;
    let mut in_text = false;
    let mut escaped = false;
    for c in text.chars() {
        if !in_text {
            match c {
                ',' => comma = Some(out.len()),
                ']' | '}' => {
                    if let Some(at) = comma.take() {
                        out.truncate(at);
                    }
                }
                c if c.is_whitespace() => {}
                _ => comma = None,
            }
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            // Text never goes on over the end of a line: a stray quote must not hide the rest.
            '\n' => in_text = false,
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_line_by_line() {
        let text = "router {\n  mode: interior # why\n id : R1\n}\n# no\n\nlistener{\nport: 1\n}\n";
        assert_eq!(
            to_json(text),
            "[[\"router\", {\n\"mode\": \"interior\",\n\"id\": \"R1\"}],\n[\"listener\", {\n\"port\": \"1\"}]]"
        );
    }

    #[test]
    fn hash_and_json_attributes() {
        let text = "vhost {\n hostname: a#b c\n x: a#b\n groups: {\n # no\n \"g\": {\n \"u\": \"}\"\n },\n }\n}";
        assert_eq!(
            to_json(text),
            "[[\"vhost\", {\n\"hostname\": \"a#b\",\n\"x\": \"a\",\n\"groups\": {\n\"g\": {\n\"u\": \"}\"\n}}}]]"
        );
        assert_eq!(
            to_json("listener {\nopenProperties: {\"a\": [1,]}\n}"),
            "[[\"listener\", {\n\"openProperties\": {\"a\": [1]}}]]"
        );
    }

    #[test]
    fn nested_maps_and_odd_lines() {
        assert_eq!(
            to_json("vhost {\n more : {\n $d: 1\n }\n x: {a\n}"),
            "[[\"vhost\", {\n\"more\": {\n\"$d\": \"1\"},\nx: {a\n}]]"
        );
        assert_eq!(to_json("router {\n mode: interior"), "[[\"router\", {\n\"mode\": \"interior\"]");
        assert_eq!(to_json("router {\n mode: interior\n}\n}"), "[[\"router\", {\n\"mode\": \"interior\"}]}]]");
    }

    #[test]
    fn commas_inside_text_stay() {
        assert_eq!(without_surplus_commas("[\"a,]\", ]"), "[\"a,]\"]");
    }
}
