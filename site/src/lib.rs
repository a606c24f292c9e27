//! Skupper's site resources (`skupper.io/v2alpha1`) on a host without a controller: from the text of files to what a
//! router has to do, and from what it shows to the state of each resource. Nothing here reads, writes, or has a clock.
//!
//! ```text
//!  text --> yaml --> resources --> Plan: credentials, entities, files for other sites
//!    |                  |            |
//!    '---- findings ----'            +--- what is observed ---> status of each resource
//!    (file, line, text)
//! ```

mod fields;
mod folder;
mod network;
mod plan;
mod render;
mod resource;
mod status;
mod yaml;

#[cfg(test)]
mod tests;

pub use folder::{Finding, Folder, Source};
pub use network::{BEACONS, Discovered, Network};
pub use plan::{Certificate, Credential, Entity, Handout, Issuer, Origin, Plan, Surroundings};
pub use render::{handout, skrouterd_json};
pub use resource::{Key, Kind};
pub use status::{Observed, Remote, Service, SiteRecord, Statuses};

/// Reads a text as a file of resources, plans what it asks for, and tells what became of it.
///
/// # Panics
/// When the router could not read what is written for it.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz(text: &str) {
    let mut folder = Folder::default();
    folder.update(vec![Source { file: "a.yaml".to_owned(), text: Ok(text.to_owned()) }]);
    folder.update(vec![Source { file: "a.yaml".to_owned(), text: Ok(text.chars().rev().collect()) }]);
    let plan = Plan::new(&folder, &Surroundings::default());
    let entities: Vec<&Entity> = plan.entities.iter().collect();
    let (json, _) = skrouterd_json(&entities);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    let mut statuses = Statuses::default();
    statuses.update(&folder, &plan, &Observed::default(), "2000-01-01T00:00:00Z");
}
