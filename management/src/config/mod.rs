//! Configuration files: from text to validated entities.

pub mod audit;
mod check;
mod complaint;
mod conf;
pub mod env;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod json;
mod order;
mod reload;
mod sections;

pub use check::{SetError, check_set, check_singletons_and_names};
pub use order::BootPlan;
pub use reload::{Change, Reloader};

use crate::attributes::Attributes;
use crate::error::{ErrorClass, RouterError};
use crate::schema::EntityType;
use amqp_core::Value;
use complaint::Complaint;
use router_engine::log::{Level, LogModule};
use std::path::Path;

/// One entity of a configuration, its attributes complete and converted.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityConfig {
    /// The type.
    pub ty: EntityType,
    /// The attributes, `type` included.
    pub attributes: Attributes,
}

// === impl EntityConfig ===

impl EntityConfig {
    /// The name; empty before there is one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.attributes.text("name").unwrap_or_default()
    }

    /// The identity; empty before there is one.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.attributes.text("identity").unwrap_or_default()
    }
}

/// Reads a configuration file. The entities are in file order, with the singletons that the file
/// leaves out at the end.
///
/// # Errors
/// When the file cannot be read, is empty, or holds something that is not valid (spec
/// `management-protocol.md` 7.3).
pub fn load(path: &str) -> Result<Vec<EntityConfig>, RouterError> {
    let text = read(path)?;
    parse(&text, path.ends_with(".json"))
        .map_err(|text| RouterError::python(format!("Exception: Cannot load configuration file {path}: {text}")))
}

fn read(path: &str) -> Result<String, RouterError> {
    let octets = std::fs::read(Path::new(path))
        .map_err(|_| RouterError::new(ErrorClass::NotFound, "Configuration file could not be opened"))?;
    if octets.is_empty() {
        return Err(RouterError::configuration("Configuration file was empty"));
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Parses and validates the text of a configuration file.
///
/// # Errors
/// A text that says what is wrong.
pub fn parse(text: &str, is_json: bool) -> Result<Vec<EntityConfig>, String> {
    let sections = if is_json { json_sections(text) } else { conf_sections(text) }?;
    let mut entities = sections::entities(sections)?;
    for ty in missing_singletons(&entities) {
        entities.push(sections::entity(ty, Attributes::new())?);
    }
    check::check_set(&entities).map_err(|e| e.0)?;
    Ok(entities)
}

/// The types of which there is one entity always, and none in the file.
fn missing_singletons(entities: &[EntityConfig]) -> Vec<EntityType> {
    let is_needed = |ty: &EntityType| ty.def().singleton && ty.is_a(EntityType::ConfigurationEntity);
    let is_missing = |ty: &EntityType| !entities.iter().any(|e| e.ty == *ty);
    EntityType::ALL.iter().copied().filter(is_needed).filter(is_missing).collect()
}

/// What a file consists of: octets before each section, and the section, which is `[name, {attributes}]`.
type Sections = Vec<(usize, Value)>;

fn json_sections(text: &str) -> Result<Sections, String> {
    let text = without_comments(text);
    json::items(&text).map_err(|complaint| {
        dump(&text, " json-format");
        complaint.within(&text)
    })
}

fn conf_sections(text: &str) -> Result<Sections, String> {
    conf::parse(text).map_err(|complaint| {
        warn_of(complaint, text);
        dump(text, "");
        complaint.within(text)
    })
}

/// The vhosts in the JSON files of a policy directory, by file name. Other entities there are ignored.
///
/// # Errors
/// When the directory or a file cannot be read or is not valid.
pub fn load_policy_dir(dir: &str) -> Result<Vec<EntityConfig>, RouterError> {
    let missing = |e: &std::io::Error| {
        let (number, text) = match e.raw_os_error() {
            Some(20) => (20, "Not a directory"),
            Some(13) => (13, "Permission denied"),
            _ => (2, "No such file or directory"),
        };
        let kind = if number == 2 { "FileNotFoundError" } else { "OSError" };
        RouterError::python(format!("{kind}: [Errno {number}] {text}: '{dir}'"))
    };
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .map_err(|e| missing(&e))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let mut vhosts = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let broken =
            |text: String| RouterError::python(format!("Exception: Cannot load configuration file {name}: {text}"));
        let text = std::fs::read_to_string(&file).map_err(|e| broken(e.to_string()))?;
        let text = without_comments(&text);
        let sections = json::items(&text).map_err(|complaint| broken(complaint.within(&text)))?;
        vhosts.extend(sections::entities(sections).map_err(broken)?.into_iter().filter(|e| e.ty == EntityType::Vhost));
    }
    Ok(vhosts)
}

/// The text with blank lines for those whose first character is `#`, blanks aside.
fn without_comments(text: &str) -> String {
    text.split_inclusive('\n').map(|line| if line.trim_start().starts_with('#') { "\n" } else { line }).collect()
}

/// Says what operators look for when a file is refused.
fn warn_of(complaint: Complaint, text: &str) {
    let number = complaint.line(text);
    match text.lines().nth(number - 1) {
        Some(line) if complaint.at < text.len() => router_engine::log!(
            LogModule::Agent,
            Level::Warning,
            "Invalid config file syntax (line {number}):\n>>> {}",
            line.trim()
        ),
        _ => router_engine::log!(
            LogModule::Agent,
            Level::Warning,
            "Configuration file: invalid entity nesting detected."
        ),
    }
}

fn dump(text: &str, form: &str) {
    router_engine::log!(LogModule::Agent, Level::Error, "Contents of failed{form} config file");
    for (index, line) in text.lines().enumerate() {
        router_engine::log!(LogModule::Agent, Level::Error, "Line {} |{line}", index + 1);
    }
}

#[cfg(test)]
mod tests;
