//! A folder of resources as it is now, and what stays in force of what it said before.

use crate::fields::Complaints;
use crate::resource::{Found, Key, Kind, Resource, Site, Spec, read};
use crate::yaml;
use std::collections::BTreeMap;
use std::fmt;

/// Findings of one file that are told.
const MAX_FINDINGS: usize = 1000;

/// A file, and its text or why it cannot be read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path as it is to be told.
    pub file: String,
    /// Its text.
    pub text: Result<String, String>,
}

/// Something that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from one.
    pub line: usize,
    /// Whether something asked for is not done; otherwise it is only worth knowing.
    pub is_problem: bool,
    /// What it is.
    pub text: String,
}

/// The resources of a folder.
///
/// What is in error is not applied. Where the folder said something sound before, that stays in force: half of an edit
/// must not end services.
#[derive(Debug, Default)]
pub struct Folder {
    pub(crate) resources: BTreeMap<Key, Resource>,
    pub(crate) faulty: BTreeMap<Key, Faulty>,
    findings: Vec<Finding>,
}

/// A resource that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faulty {
    pub(crate) text: String,
    /// What it said before stays in force.
    pub(crate) stays: bool,
}

/// What the files say now.
#[derive(Default)]
struct Reading {
    resources: BTreeMap<Key, Resource>,
    faulty: BTreeMap<Key, String>,
    findings: Vec<Finding>,
    /// Files with parts that say nothing that can be understood, and why.
    broken: BTreeMap<String, String>,
}

/// The findings of a file, if there are not too many.
fn bounded(mut findings: Vec<Finding>) -> Vec<Finding> {
    let more = findings.len().saturating_sub(MAX_FINDINGS);
    let is_problem = findings.iter().skip(MAX_FINDINGS).any(|finding| finding.is_problem);
    findings.truncate(MAX_FINDINGS);
    if let Some(last) = findings.last().filter(|_| more > 0) {
        let last = Finding { text: format!("and {more} more"), is_problem, ..last.clone() };
        findings.push(last);
    }
    findings
}

// === impl Folder ===

impl Folder {
    /// Reads all files anew.
    pub fn update(&mut self, sources: Vec<Source>) {
        let mut reading = Reading::default();
        for source in sources {
            reading.read(source);
        }
        let Reading { mut resources, faulty, findings, broken } = reading;
        let mut told: BTreeMap<Key, Faulty> = BTreeMap::new();
        for (key, text) in faulty {
            let former = self.resources.remove(&key).filter(|_| !resources.contains_key(&key));
            told.insert(key.clone(), Faulty { text, stays: former.is_some() });
            resources.extend(former.map(|former| (key, former)));
        }
        for (key, former) in std::mem::take(&mut self.resources) {
            let Some(text) = broken.get(&former.file).filter(|_| !resources.contains_key(&key)) else { continue };
            told.insert(key.clone(), Faulty { text: text.clone(), stays: true });
            resources.insert(key, former);
        }
        *self = Self { resources, faulty: told, findings };
        self.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    }

    /// What was found, in the order of files and lines.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The name of the site.
    #[must_use]
    pub fn site_name(&self) -> Option<&str> {
        self.site_resource().map(|site| site.key.name.as_str())
    }

    /// The namespace of the site, where it has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.site_resource()?.namespace.as_deref()
    }

    /// Whether the site is to be an edge site.
    #[must_use]
    pub fn is_edge(&self) -> Option<bool> {
        self.site().map(|(_, site)| site.edge)
    }

    /// The identity that the site was given, if it was.
    #[must_use]
    pub fn site_id(&self) -> Option<&str> {
        self.site_resource()?.uid.as_deref()
    }

    /// All resources that are in force.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.resources.keys()
    }

    /// Where a resource is, and its line.
    #[must_use]
    pub fn place(&self, key: &Key) -> Option<(&str, usize)> {
        self.resources.get(key).map(|resource| (resource.file.as_str(), resource.line))
    }

    pub(crate) fn site(&self) -> Option<(&Key, &Site)> {
        let resource = self.site_resource()?;
        match &resource.spec {
            Spec::Site(site) => Some((&resource.key, site)),
            _ => None,
        }
    }

    fn site_resource(&self) -> Option<&Resource> {
        self.resources.values().find(|resource| resource.key.kind == Kind::Site)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.is_problem { "" } else { "note: " };
        write!(f, "{}:{}: {note}{}", self.file, self.line, self.text)
    }
}

// === impl Reading ===

impl Reading {
    fn read(&mut self, Source { file, text }: Source) {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let finding = Finding { file: file.clone(), line: 1, is_problem: true, text: error.clone() };
                self.findings.push(finding);
                self.broken.insert(file, error);
                return;
            }
        };
        let (documents, fault) = yaml::documents(&text);
        let mut complaints = Complaints { file: file.clone(), findings: Vec::new() };
        for document in &documents {
            let found = read(document, &mut complaints);
            self.take(found, &mut complaints);
        }
        if let Some(fault) = fault {
            complaints.problem(fault.line, &*fault.text);
            self.broken.insert(file.clone(), format!("{file}:{}: {}", fault.line, fault.text));
        }
        self.findings.extend(bounded(complaints.findings));
    }

    fn take(&mut self, found: Found, complaints: &mut Complaints) {
        match found {
            Found::Nothing => {}
            Found::Unknown(why) => drop(self.broken.insert(complaints.file.clone(), why)),
            Found::Faulty(key, why) => drop(self.faulty.insert(key, why)),
            Found::List(items) => items.into_iter().for_each(|item| self.take(item, complaints)),
            Found::Sound(resource) => self.add(*resource, complaints),
        }
    }

    fn add(&mut self, resource: Resource, complaints: &mut Complaints) {
        let first = match resource.key.kind {
            Kind::Site => self.resources.values().find(|other| other.key.kind == Kind::Site),
            _ => self.resources.get(&resource.key),
        };
        let Some(first) = first else {
            self.resources.insert(resource.key.clone(), resource);
            return;
        };
        let place = format!("{}:{}", first.file, first.line);
        let text = match resource.key.kind {
            Kind::Site => format!("there is a Site already: {place}"),
            _ => format!("{} is there already: {place}", resource.key),
        };
        complaints.problem(resource.line, &*text);
        if first.key != resource.key {
            self.faulty.insert(resource.key, text);
        }
    }
}
