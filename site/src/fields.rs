//! Members of a map read by name, with complaints for those that are missing, of another kind, or unknown.

use crate::folder::Finding;
use crate::yaml::{Member, Node, Value, shown};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};

/// Problems that the state of one resource tells.
const MAX_TOLD: usize = 16;

/// What is wrong with a resource, and what else is worth knowing.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    pub(crate) file: String,
    pub(crate) findings: Vec<Finding>,
}

/// The members of a map that have not been asked for yet.
pub(crate) struct Fields<'a> {
    path: String,
    /// The line of the map.
    pub(crate) line: usize,
    members: Vec<&'a Member>,
}

// === impl Complaints ===

impl Complaints {
    pub(crate) fn problem(&mut self, line: usize, text: impl Into<String>) {
        self.add(line, true, text.into());
    }

    pub(crate) fn note(&mut self, line: usize, text: impl Into<String>) {
        self.add(line, false, text.into());
    }

    /// The problems behind the first `known` findings, each once.
    pub(crate) fn problems(&self, known: usize) -> String {
        let problems = self.findings[known..].iter().filter(|finding| finding.is_problem);
        let told: BTreeSet<String> = problems.map(ToString::to_string).collect();
        let mut texts: Vec<String> = told.iter().take(MAX_TOLD).cloned().collect();
        texts.extend((told.len() > MAX_TOLD).then(|| format!("and {} more", told.len() - MAX_TOLD)));
        texts.join("; ")
    }

    fn add(&mut self, line: usize, is_problem: bool, text: String) {
        self.findings.push(Finding { file: self.file.clone(), line, is_problem, text });
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The members of a node, which is to be a map; `path` names it in complaints.
    pub(crate) fn of(node: &'a Node, path: &str, complaints: &mut Complaints) -> Self {
        let members = match &node.value {
            Value::Map(members) => members.iter().collect(),
            Value::Null => Vec::new(),
            _ => {
                complaints.problem(node.line, format!("{path} is to be a map"));
                Vec::new()
            }
        };
        Self { path: path.to_owned(), line: node.line, members }
    }

    /// None of a member that is missing.
    pub(crate) const fn none(path: String, line: usize) -> Self {
        Self { path, line, members: Vec::new() }
    }

    fn take(&mut self, name: &str) -> Option<&'a Member> {
        let at = self.members.iter().position(|member| member.name == name)?;
        Some(self.members.remove(at)).filter(|member| member.node.value != Value::Null)
    }

    pub(crate) fn named(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The line of a member; that of the map when it is not there.
    pub(crate) fn line_of(&self, name: &str) -> usize {
        self.members.iter().find(|member| member.name == name).map_or(self.line, |member| member.line)
    }

    /// A text; numbers and truth values are taken for their text.
    pub(crate) fn text(&mut self, name: &str, complaints: &mut Complaints) -> Option<String> {
        let member = self.take(name)?;
        match &member.node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => {
                complaints.problem(member.line, format!("{} is to be a text", self.named(name)));
                None
            }
        }
    }

    /// A text that has to be there and says something.
    pub(crate) fn required(&mut self, name: &str, complaints: &mut Complaints) -> String {
        let (line, known) = (self.line_of(name), complaints.findings.len());
        let text = self.text(name, complaints).unwrap_or_default();
        if text.is_empty() && complaints.findings.len() == known {
            complaints.problem(line, format!("{} is missing", self.named(name)));
        }
        text
    }

    /// One of some words.
    pub(crate) fn word(&mut self, name: &str, words: &[&str], complaints: &mut Complaints) -> Option<String> {
        let line = self.line_of(name);
        let word = self.text(name, complaints).filter(|word| !word.is_empty())?;
        if !words.contains(&&*word) {
            let known = words.join(", ");
            complaints.problem(line, format!("{} '{}' is none of: {known}", self.named(name), shown(&word)));
        }
        Some(word)
    }

    /// A truth value; false when it is not there.
    pub(crate) fn flag(&mut self, name: &str, complaints: &mut Complaints) -> bool {
        let Some(member) = self.take(name) else { return false };
        let text = match &member.node.value {
            Value::Scalar { text, is_plain: true } => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match &*text {
            "true" | "yes" | "on" => true,
            "false" | "no" | "off" => false,
            _ => {
                complaints.problem(member.line, format!("{} is to be true or false", self.named(name)));
                false
            }
        }
    }

    /// A whole number.
    pub(crate) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
        complaints: &mut Complaints,
    ) -> Option<u32> {
        let member = self.take(name)?;
        let number = match &member.node.value {
            Value::Scalar { text, is_plain: true } => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let text = format!("{} is to be a number from {least} to {most}", self.named(name));
            complaints.problem(member.line, text);
        }
        number
    }

    /// A port that has to be there.
    pub(crate) fn port(&mut self, name: &str, complaints: &mut Complaints) -> u16 {
        let (line, known) = (self.line_of(name), complaints.findings.len());
        let port = self.number(name, 1..=65535, complaints).and_then(|port| u16::try_from(port).ok());
        if port.is_none() && complaints.findings.len() == known {
            complaints.problem(line, format!("{} is missing", self.named(name)));
        }
        port.unwrap_or_default()
    }

    /// A list, whose items are read one by one.
    pub(crate) fn list(&mut self, name: &str, complaints: &mut Complaints) -> &'a [Node] {
        let Some(member) = self.take(name) else { return &[] };
        match &member.node.value {
            Value::List(items) => items,
            _ => {
                complaints.problem(member.line, format!("{} is to be a list", self.named(name)));
                &[]
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &str, complaints: &mut Complaints) -> Vec<String> {
        let path = self.named(name);
        let texts = self.list(name, complaints).iter().filter_map(|item| match &item.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => {
                complaints.problem(item.line, format!("{path} is to be a list of texts"));
                None
            }
        });
        texts.collect()
    }

    /// A map, whose members are read one by one.
    pub(crate) fn map(&mut self, name: &str, complaints: &mut Complaints) -> Self {
        let path = self.named(name);
        match self.take(name) {
            Some(member) => Self { line: member.line, ..Self::of(&member.node, &path, complaints) },
            None => Self::none(path, self.line),
        }
    }

    /// Each member as a map of its own.
    fn each(self) -> impl Iterator<Item = (String, Self)> {
        let Self { path, line, members } = self;
        let alone = move |member: &'a Member| Self { path: path.clone(), line, members: vec![member] };
        members.into_iter().map(move |member| (member.name.clone(), alone(member)))
    }

    /// All members as texts.
    pub(crate) fn all_texts(self, complaints: &mut Complaints) -> BTreeMap<String, String> {
        self.each().filter_map(|(name, mut member)| Some((name.clone(), member.text(&name, complaints)?))).collect()
    }

    /// All members as whole numbers, in their order; the least of those that are allowed where there is none.
    pub(crate) fn all_numbers(
        self,
        range: &std::ops::RangeInclusive<u32>,
        complaints: &mut Complaints,
    ) -> Vec<(String, u32)> {
        let number = |(name, mut member): (String, Self)| {
            let number = member.number(&name, range.clone(), complaints).unwrap_or(*range.start());
            (name, number)
        };
        self.each().map(number).collect()
    }

    /// All members as octets in base64. What they are is not told: they may be secret.
    pub(crate) fn all_octets(self, complaints: &mut Complaints) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for (name, mut member) in self.each() {
            let line = member.line_of(&name);
            let Some(text) = member.text(&name, complaints) else { continue };
            let text: String = text.split_ascii_whitespace().collect();
            match STANDARD.decode(text) {
                Ok(octets) => drop(all.insert(name, octets)),
                Err(_) => complaints.problem(line, format!("{} is not in base64", member.named(&shown(&name)))),
            }
        }
        all
    }

    /// Names of members that are left are worth a word: what they say is not done.
    pub(crate) fn finish(self, complaints: &mut Complaints) {
        for member in &self.members {
            complaints.note(member.line, format!("{} is not known and not heeded", self.named(&shown(&member.name))));
        }
    }

    /// A member as it is.
    pub(crate) fn json(&self, name: &str) -> Option<serde_json::Value> {
        self.members.iter().find(|member| member.name == name).map(|member| member.node.json())
    }

    /// Whether there is a member of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name && member.node.value != Value::Null)
    }

    /// Lets the members of that name pass.
    pub(crate) fn skip(&mut self, names: &[&str]) {
        self.members.retain(|member| !names.contains(&&*member.name));
    }
}
