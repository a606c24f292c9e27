//! What is wrong with one section, whatever the others say.

use super::advice;
use super::report::Report;
use crate::agent::Failure;
use crate::attributes::Attributes;
use crate::config::{EntityConfig, sections};
use crate::error::RouterError;
use crate::schema::{Attribute, Default, EntityType, validate};
use amqp_core::Value;

/// A section as a text: where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The number of its first line.
    pub(super) line: usize,
    /// From its beginning to that of the next one.
    pub(super) text: &'a str,
}

// === impl Place ===

impl Place<'_> {
    /// The number of the line where an attribute is given; that of the section when it is not.
    pub(super) fn line_of(&self, attribute: &str) -> usize {
        let names = self.text.match_indices(':').filter_map(|(at, _)| Some((at, word_before(&self.text[..at])?)));
        let found = names.filter(|(_, word)| sections::camel_case(word) == attribute).map(|(at, _)| at).next();
        self.line + found.map_or(0, |at| self.text[..at].matches('\n').count())
    }
}

/// The name that ends a text, without its quotes.
fn word_before(text: &str) -> Option<&str> {
    let text = text.trim_end().trim_end_matches('"');
    let start =
        text.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'))).map_or(0, |at| at + 1);
    Some(text.get(start..)?).filter(|word| !word.is_empty())
}

/// Reports what is wrong. The entity without what is wrong, if there is enough of it.
pub(super) fn audit(section: Value, place: Place<'_>, report: &mut Report) -> Option<EntityConfig> {
    let start = Some(place.line);
    let (name, map) = match sections::parts(section) {
        Ok(parts) => parts,
        Err(text) => {
            report.problem(start, text, Some("write [\"listener\", {\"port\": 5672}]".to_owned()));
            return None;
        }
    };
    let Some(ty) = EntityType::parse(&name).filter(|ty| ty.is_a(EntityType::ConfigurationEntity)) else {
        report.problem(start, format!("there is no entity type '{name}'"), Some(advice::on_type(&name)));
        return None;
    };
    let mut attributes = Attributes::new();
    for (name, value) in sections::named(ty, map) {
        let line = Some(place.line_of(&name));
        match ty.attribute(&name) {
            _ if value.is_null() || name == "type" => {}
            None => {
                let text = format!("{} has no attribute '{name}'", ty.short());
                report.problem(line, text, Some(advice::on_attribute(ty, &name)));
            }
            Some(attribute) => match validate::value_of(ty, attribute, value) {
                Ok(value) => attributes.set(attribute.name, value),
                Err(error) => report.problem(line, plain(ty, &error.0), Some(expected(attribute))),
            },
        }
    }
    complete(ty, attributes, place, report)
}

fn complete(ty: EntityType, given: Attributes, place: Place<'_>, report: &mut Report) -> Option<EntityConfig> {
    let start = Some(place.line);
    let is_missing =
        |a: &&Attribute| a.required && a.default.is_none() && given.get(a.name).is_none() && a.name != "type";
    let missing: Vec<_> = ty.attributes().filter(is_missing).collect();
    for attribute in &missing {
        let text = format!("{} needs the attribute '{}'", ty.short(), attribute.name);
        report.problem(start, text, Some(expected(attribute)));
    }
    let entity = sections::entity(ty, given).ok().filter(|_| missing.is_empty())?;
    if let Err(failure) = ty.kind().check(&entity.attributes) {
        report.problem(start, format!("{}: {}", ty.short(), failure_text(&failure)), None);
    }
    Some(entity)
}

fn failure_text(failure: &Failure) -> &str {
    &failure.text
}

/// An error of a subsystem in words for whoever wrote the file.
pub(super) fn words(error: &RouterError) -> String {
    match error.text.strip_prefix("KeyError: ('").and_then(|rest| rest.strip_suffix("',)")) {
        Some(name) => format!("it needs the attribute '{name}'"),
        None => error.text.clone(),
    }
}

/// An error of the schema without what clients in Python are used to.
fn plain(ty: EntityType, text: &str) -> String {
    let text = text.strip_prefix(&format!("{ty}: ")).unwrap_or(text);
    let Some((text, rest)) = text.split_once(":<traceback object") else { return format!("{}: {text}", ty.short()) };
    let attribute = rest.split_once('>').map_or("", |(_, rest)| rest);
    format!("{}: {text}{attribute}", ty.short())
}

/// What an attribute is for, and what it takes.
fn expected(attribute: &Attribute) -> String {
    let default = match attribute.default {
        Some(Default::Text(text)) if !text.is_empty() => format!(" (default: {text})"),
        Some(Default::Number(number)) => format!(" (default: {number})"),
        Some(Default::Flag(flag)) => format!(" (default: {})", if flag { "yes" } else { "no" }),
        _ => String::new(),
    };
    let takes = match attribute.ty {
        crate::schema::ValueType::Enum(words) => format!("one of {}", words.join(", ")),
        crate::schema::ValueType::Boolean => "yes or no".to_owned(),
        other => other.name().to_owned(),
    };
    format!("{}: {takes}{default}. {}", attribute.name, attribute.description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_in_either_form() {
        let conf =
            Place { line: 3, text: "listener {\n  host: 1.2.3.4\n  # a comment\n  idle-timeout-seconds : 3\n}\n" };
        assert_eq!(["host", "idleTimeoutSeconds", "port"].map(|name| conf.line_of(name)), [4, 6, 3]);
        let json = Place { line: 1, text: "[\"listener\", {\"host\": \"a\",\n \"port\" : 1}],\n" };
        assert_eq!(["host", "port", "name"].map(|name| json.line_of(name)), [1, 2, 1]);
    }
}
