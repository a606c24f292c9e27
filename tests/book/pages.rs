//! The pages of the book as text: fenced blocks, headings and links.

use std::path::{Path, PathBuf};

/// Pages that show nothing that could be tried.
pub(crate) const WITHOUT_BLOCKS: &[&str] =
    &["docs/src/SUMMARY.md", "docs/src/architecture.md", "docs/src/reference.md"];

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its language.
    pub(crate) kind: String,
    /// What follows the language.
    pub(crate) note: String,
    /// The line before it that is not empty.
    pub(crate) before: String,
    pub(crate) text: String,
    /// The line that it begins at.
    pub(crate) line: usize,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All pages, by their paths, sorted.
pub(crate) fn chapters() -> Vec<String> {
    let files = std::fs::read_dir(root().join("docs/src")).unwrap().map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut names: Vec<_> = pages.map(|path| format!("docs/src/{}", path.file_name().unwrap().display())).collect();
    names.push("README.md".to_owned());
    names.sort_unstable();
    names
}

/// The fenced blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for (at, line) in page.lines().enumerate() {
        let Some(info) = line.strip_prefix("```") else {
            match &mut open {
                Some(block) => block.text += &format!("{line}\n"),
                None if !line.trim().is_empty() => before = line,
                None => {}
            }
            continue;
        };
        match open.take() {
            Some(block) => blocks.push(block),
            None => {
                let (kind, note) = info.split_once(' ').unwrap_or((info, ""));
                let (kind, note) = (kind.to_owned(), note.to_owned());
                open = Some(Block { kind, note, before: before.to_owned(), text: String::new(), line: at + 1 });
            }
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

/// The page without its fenced blocks.
fn prose(page: &str) -> String {
    let outside = page.split("\n```").step_by(2);
    outside.collect::<Vec<_>>().join("\n")
}

/// How a heading is called in links.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// What the links of a page lead to.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

#[test]
fn links_lead_somewhere() {
    let pages = chapters().into_iter().chain(["docs/architecture.md", "docs/contributing.md"].map(str::to_owned));
    for page in pages {
        let text = prose(&read(&page));
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target: PathBuf = match path {
                "" => root().join(&page),
                path => root().join(&page).parent().unwrap().join(path),
            };
            assert!(target.exists(), "{page}: {link} leads nowhere");
            if !heading.is_empty() {
                let there = std::fs::read_to_string(&target).unwrap();
                let there = match there.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
                    Some(included) => std::fs::read_to_string(target.parent().unwrap().join(included)).unwrap(),
                    None => there,
                };
                let mut headings = there.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
                assert!(found, "{page}: there is no heading for {link}");
            }
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("docs/src/SUMMARY.md");
    for page in chapters() {
        let name = page.rsplit('/').next().unwrap();
        let outside = matches!(name, "SUMMARY.md" | "README.md");
        assert!(outside || summary.contains(&format!("({name})")), "{name} is not in the summary");
    }
}
