//! Writes configuration files: the inverse of the readers.

use amqp_core::Value;
use amqp_core::value::Map;
use std::fmt::Write;

/// Sections in `.conf` syntax; as JSON where that has no form for them.
pub(in super::super) fn file(sections: &[Value]) -> String {
    let mut out = String::new();
    for section in sections {
        match section.as_list() {
            Some([Value::String(name), Value::Map(members)]) if is_name(name) && !name.starts_with('$') => {
                out.push_str(name);
                block(&mut out, members);
            }
            _ => {
                out.push_str(&json(section));
                out.push('\n');
            }
        }
    }
    out
}

fn block(out: &mut String, members: &Map) {
    out.push_str(" { # opens\n");
    members.iter().for_each(|(name, value)| member(out, name.as_str().unwrap_or_default(), value));
    out.push_str("}\n\n# closed\n");
}

fn member(out: &mut String, name: &str, value: &Value) {
    let is_json = ["openProperties", "groups"].contains(&name);
    match value {
        Value::String(text) if is_name(name) && !text.is_empty() => {
            let hash = ["pattern", "bindingKey", "hostname"].contains(&name);
            let _ = writeln!(out, "\t{name} : {} # told", unquoted(text, hash));
        }
        Value::Map(members) if is_name(name) && !is_json => {
            let _ = write!(out, "{name}:");
            block(out, members);
        }
        Value::Map(_) if is_json => {
            let _ = writeln!(out, "  {name}: {}", json(value));
        }
        _ => {
            let _ = writeln!(out, "  {}:{},", json(&name.into()), json(value));
        }
    }
}

fn is_name(name: &str) -> bool {
    let word = name.trim_start_matches('$');
    !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// A text without quotes. With `hash`, `#` stands for itself and blanks do not.
fn unquoted(text: &str, hash: bool) -> String {
    let last = text.chars().count() - 1;
    let hidden = |at: usize, c: char| match c {
        '#' => !hash,
        '{' => at == 0,
        c => c.is_whitespace() && (hash || c != ' ' || at == 0 || at == last),
    };
    text.chars().enumerate().map(|(at, c)| if hidden(at, c) { code(c) } else { escaped(c) }).collect()
}

fn escaped(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        c if c < ' ' => code(c),
        c => c.to_string(),
    }
}

fn code(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

/// A value as JSON.
pub(in super::super) fn json(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::String(text) => format!("\"{}\"", text.chars().map(escaped).collect::<String>()),
        Value::List(items) => format!("[{}]", list(items.iter().map(json).collect())),
        Value::Map(map) => {
            format!("{{{}}}", list(map.iter().map(|(k, v)| format!("{}: {}", json(k), json(v))).collect()))
        }
        Value::Long(number) => number.to_string(),
        Value::Double(number) if number.is_infinite() => format!("{}1e999", if *number < 0.0 { "-" } else { "" }),
        Value::Double(number) => format!("{number:?}"),
        Value::Bool(flag) => flag.to_string(),
        _ => "null".to_owned(),
    }
}
