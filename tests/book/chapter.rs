//! A chapter, tried out.

use crate::failures::Failures;
use crate::pages::{self, Block};
use crate::shell::{Failure, Shell};
use router_engine::log::{Level, LogModule};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

pub(crate) const ROUTER: &str = env!("CARGO_BIN_EXE_skrouterd");

/// Where the book keeps configurations and certificates.
const ETC: &str = "/etc/skupper-router";

/// A folder of its own, gone afterwards.
pub(crate) struct Scratch(pub(crate) PathBuf);

/// Tries everything out that the page shows.
pub(crate) fn check(page: &str) {
    let text = pages::read(page);
    let chapter = Chapter::new(page, &text);
    chapter.run();
}

struct Chapter {
    page: String,
    blocks: Vec<Block>,
    folder: Scratch,
    /// What the page has and what stands in its place.
    replaced: BTreeMap<String, String>,
}

// === impl Scratch ===

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("book-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// As many ports that nobody uses now.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

/// The numbers in a text, and what is between them.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let same = |c: char| c.is_ascii_alphanumeric() == first.is_ascii_alphanumeric();
        let (piece, next) = rest.split_at(rest.find(|c| !same(c)).unwrap_or(rest.len()));
        rest = next;
        Some(piece)
    })
}

/// Ports in a configuration.
fn ports(text: &str) -> Vec<&str> {
    let is_port = |number: &&str| number.len() >= 4 && number.parse::<u16>().is_ok();
    let values = text.split("port").skip(1).map(|rest| rest.trim_start_matches(['"', ':', ' ']));
    values.filter_map(|rest| numbers(rest).next().filter(is_port)).collect()
}

// === impl Chapter ===

impl Chapter {
    fn new(page: &str, text: &str) -> Self {
        let name = page.rsplit('/').next().unwrap().trim_end_matches(".md");
        let folder = Scratch::new(name);
        let blocks = pages::blocks(text);
        let configurations = blocks.iter().filter(|block| matches!(block.kind.as_str(), "conf" | "json"));
        let shown: BTreeSet<_> = configurations.flat_map(|block| ports(&block.text)).map(str::to_owned).collect();
        let free = free_ports(shown.len());
        let replaced = shown.into_iter().zip(free.iter().map(u16::to_string)).collect();
        let chapter = Self { page: page.to_owned(), blocks, folder, replaced };
        chapter.write_certificates();
        chapter
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// Whoever names `/etc/skupper-router` finds an authority, a certificate and a key there.
    fn write_certificates(&self) {
        let etc = self.path("etc");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::copy(pages::root().join("packaging/skrouterd.conf"), etc.join("skrouterd.conf")).unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["west.example.com".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(etc.join("ca.crt"), root.pem()).unwrap();
        std::fs::write(etc.join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(etc.join("tls.key"), key.serialize_pem()).unwrap();
    }

    fn ours(&self, text: &str) -> String {
        let etc = self.path("etc").display().to_string();
        let ours = |piece| self.replaced.get(piece).map_or(piece, String::as_str);
        numbers(text).map(ours).collect::<String>().replace(ETC, &etc)
    }

    fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.page, block.line)
    }

    fn run(&self) {
        let mut shell = None;
        let mut failures = None;
        let mut files = Vec::new();
        for (at, block) in self.blocks.iter().enumerate() {
            let place = self.place(block);
            let text = self.ours(&block.text);
            match block.kind.as_str() {
                "conf" | "json" => match named(&block.before) {
                    Some(name) => {
                        std::fs::write(self.path(name), &text).unwrap();
                        files.push((name.to_owned(), block));
                    }
                    None => {
                        let name = format!("line-{}.{}", block.line, block.kind);
                        let whole = self.ours(&completed(&block.kind, &block.text));
                        std::fs::write(self.path(&name), whole).unwrap();
                        files.push((name, block));
                    }
                },
                "sh" => {
                    let shell = shell.get_or_insert_with(|| Shell::start(&self.folder.0));
                    let next = self.blocks.get(at + 1).filter(|next| next.kind == "output");
                    let expected = next.map(|next| self.ours(&next.text)).unwrap_or_default();
                    match shell.run_block(&text, block.note == "fails", &expected) {
                        Ok(()) => {}
                        Err(Failure::Missing(program)) => {
                            crate::skip(program);
                            return;
                        }
                        Err(Failure::Wrong(text)) => panic!("{place}: {text}"),
                    }
                }
                "output" => {
                    let follows = at > 0 && self.blocks[at - 1].kind == "sh";
                    assert!(follows, "{place}: an output follows what has it");
                }
                "log" => check_log(&place, &block.text, &mut failures),
                "yaml" if text.starts_with("apiVersion: ") => {
                    let file = self.path(named(&block.before).unwrap());
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, text).unwrap();
                }
                "yaml" => self.check_rules(&place, &text),
                "text" => assert!(block.before.starts_with("<!-- "), "{place}: a comment says why this is not run"),
                other => panic!("{place}: '{other}' is no kind of block"),
            }
        }
        drop(shell);
        for (name, block) in files {
            self.check_configuration(&name, block);
        }
    }

    fn check_configuration(&self, name: &str, block: &Block) {
        let mut command = Command::new(ROUTER);
        let done = command.args(["--check", "-c", name]).current_dir(&self.folder.0).output().unwrap();
        let told = String::from_utf8_lossy(&done.stdout);
        let is_sound = block.note != "wrong";
        assert_eq!(done.status.success(), is_sound, "{}: {told}", self.place(block));
    }

    fn check_rules(&self, place: &str, text: &str) {
        let file = self.path("rules.yaml");
        std::fs::write(&file, text).unwrap();
        match Command::new("promtool").args(["check", "rules"]).arg(&file).output() {
            Ok(done) => assert!(done.status.success(), "{place}: {}", String::from_utf8_lossy(&done.stderr)),
            Err(_) => crate::skip("promtool"),
        }
        crate::names::check_families(place, text);
    }
}

/// The file that a block is, where the line before it says so.
fn named(before: &str) -> Option<&str> {
    before.strip_suffix("`:")?.rsplit('`').next()
}

/// A part of a configuration, with what it stands on.
fn completed(kind: &str, text: &str) -> String {
    let router = "router {\n mode: interior\n id: A\n}\n";
    let profile = format!(
        "sslProfile {{\n name: mesh\n caCertFile: {ETC}/ca.crt\n certFile: {ETC}/tls.crt\n privateKeyFile: {ETC}/tls.key\n}}\n"
    );
    let mut before = String::new();
    if kind == "conf" {
        if !text.contains("router {") {
            before += router;
        }
        if text.contains("sslProfile: mesh") && !text.contains("sslProfile {") {
            before += &profile;
        }
    }
    before + text
}

/// Whether the router has words for the lines of its log, `MODULE (level) text`: they are in the sources, piece by piece, or
/// routers that fail log them.
fn check_log(place: &str, text: &str, failures: &mut Option<Failures>) {
    let sources = crate::names::sources();
    for line in text.lines() {
        let (module, rest) = line.split_once(" (").unwrap_or_else(|| panic!("{place}: no module in {line}"));
        let (level, rest) = rest.split_once(") ").unwrap_or_else(|| panic!("{place}: no level in {line}"));
        assert!(LogModule::ALL.iter().any(|known| known.name() == module), "{place}: {module}");
        assert!(Level::ALL.iter().any(|known| known.name() == level), "{place}: {level}");
        let text = rest.trim_start_matches("[C...]").trim_start_matches("[L...]");
        let mut pieces = text.split("...").map(|piece| piece.trim_matches([' ', '\'', ';', ',']));
        let is_known = pieces.all(|piece| piece.len() < 4 || sources.contains(piece));
        let mut is_logged = || failures.get_or_insert_with(Failures::start).log(line);
        assert!(is_known || is_logged(), "{place}: nobody logs '{line}'");
    }
}
