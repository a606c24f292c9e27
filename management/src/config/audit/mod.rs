//! All that is wrong with a configuration file at once, before a router is started with it.
//!
//! ```text
//!  text --> sections --> entities --> rules among them --> what they need: other entities, files,
//!           syntax       names and    names, singletons,   certificates, sockets
//!                        values       modes
//! ```

mod advice;
mod report;
mod section;
mod surroundings;
#[cfg(test)]
mod tests;

pub use report::{Finding, Report};

use super::{EntityConfig, Sections, check, conf, json, missing_singletons, read, sections, without_comments};
use crate::attributes::Attributes;
use section::Place;
use surroundings::File;

/// Checks a file and what it names. Reads files, looks up names and binds sockets, but changes nothing.
#[must_use]
pub fn audit(path: &str) -> Report {
    let mut report = Report::new(path);
    match read(path) {
        Ok(text) => audit_text(&text, path.ends_with(".json"), &mut report),
        Err(error) => report.problem(None, error.text, Some("see the option -c".to_owned())),
    }
    report.sort();
    report
}

fn audit_text(text: &str, is_json: bool, report: &mut Report) {
    let text = if is_json { without_comments(text) } else { text.to_owned() };
    let sections = match if is_json { json::items(&text) } else { conf::parse(&text) } {
        Ok(sections) => sections,
        Err(complaint) => {
            let line = complaint.line(&text);
            let shown = text.lines().nth(line - 1).map(|found| format!(">>> {}", found.trim()));
            return report.problem(Some(line), complaint.what, shown);
        }
    };
    let (mut entities, places): (Vec<EntityConfig>, Vec<Place<'_>>) =
        located(&text, sections, report).into_iter().unzip();
    let missing = missing_singletons(&entities);
    entities.extend(missing.into_iter().filter_map(|ty| sections::entity(ty, Attributes::new()).ok()));
    let file = File { entities: &entities, places: &places };
    for (index, error) in check::broken_rules(&entities) {
        report.problem(file.line(index), error.0, None);
    }
    file.audit(report);
}

/// The entities of the sections that make sense, with the places of these.
fn located<'a>(text: &'a str, sections: Sections, report: &mut Report) -> Vec<(EntityConfig, Place<'a>)> {
    let ends: Vec<usize> = sections.iter().skip(1).map(|(at, _)| *at).chain([text.len()]).collect();
    let mut found = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for ((at, section), end) in sections.into_iter().zip(ends) {
        line += text[counted..at].matches('\n').count();
        counted = at;
        let place = Place { line, text: &text[at..end] };
        found.extend(section::audit(section, place, report).map(|entity| (entity, place)));
    }
    found
}
