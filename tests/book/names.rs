//! Names that the book has to know: options, variables and figures.

use crate::chapter::{ROUTER, Scratch, free_ports};
use crate::common::eventually;
use crate::pages::{self, root};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The sources of what runs, with texts that continue on the next line on one line.
pub(crate) fn sources() -> &'static str {
    static SOURCES: OnceLock<String> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut text = String::new();
        for folder in ["src", "management/src", "adaptors/src", "router-engine/src", "amqp-core/src"] {
            gather(&root().join(folder), &mut text);
        }
        let joined: Vec<_> =
            text.split("\\\n").enumerate().map(|(at, part)| if at > 0 { part.trim_start() } else { part }).collect();
        joined.concat().replace("\\\"", "\"")
    })
}

fn gather(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            gather(&entry, text);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            *text += &fs::read_to_string(entry).unwrap();
        }
    }
}

/// Names in capitals that begin like this.
fn variables(text: &str, prefix: &str) -> BTreeSet<String> {
    let begin = format!("\"{prefix}");
    let found = text.split(&begin).skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('"')?;
        let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        (is_name && !name.is_empty() && !name.ends_with('_')).then(|| format!("{prefix}{name}"))
    });
    found.collect()
}

#[test]
fn variables_and_options_are_in_their_chapter() {
    let chapter = pages::read("docs/src/command-line.md");
    let prefixes = ["SKUPPER_", "QDROUTERD_", "OTEL_", "POD_", "KUBERNETES_"];
    let names: BTreeSet<_> = prefixes.iter().flat_map(|prefix| variables(sources(), prefix)).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(chapter.contains(&format!("`{name}`")), "{name} is not in docs/src/command-line.md");
    }
    let usage = Command::new(ROUTER).arg("--help").output().unwrap();
    let usage = String::from_utf8(usage.stdout).unwrap();
    let options = usage.split("--").skip(1).map(|rest| rest.split([' ', '=', '\n']).next().unwrap_or_default());
    let options: BTreeSet<_> = options.collect();
    assert!(options.len() > 10, "{usage}");
    for option in options {
        assert!(chapter.contains(&format!("--{option}")), "--{option} is not in docs/src/command-line.md");
    }
}

/// A router with a page of figures and a service.
struct Figures(Child, #[expect(dead_code, reason = "kept for its end")] Scratch);

impl Drop for Figures {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The families that a router shows.
fn families() -> &'static BTreeSet<String> {
    static FAMILIES: OnceLock<BTreeSet<String>> = OnceLock::new();
    FAMILIES.get_or_init(|| {
        let scratch = Scratch::new("figures");
        let [http, service] = free_ports(2).try_into().unwrap();
        let config = format!(
            "router {{\n mode: interior\n id: A\n}}\n\
             listener {{\n host: 127.0.0.1\n port: {http}\n http: yes\n}}\n\
             tcpListener {{\n name: web\n address: web\n host: 127.0.0.1\n port: {service}\n}}\n"
        );
        let file = scratch.0.join("conf");
        fs::write(&file, config).unwrap();
        let router = Command::new(ROUTER).arg("-c").arg(file).stderr(Stdio::null()).spawn().unwrap();
        let _router = Figures(router, scratch);
        let mut page = String::new();
        eventually("there are figures", || {
            page = ask(http).unwrap_or_default();
            page.contains("skrouter_service_up")
        });
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        types.map(str::to_owned).collect()
    })
}

fn ask(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// `a_{b,c}_d` is `a_b_d` and `a_c_d`.
fn unfolded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let Some((words, after)) = rest.split_once('}') else { return vec![name.to_owned()] };
    words.split(',').flat_map(|word| unfolded(&format!("{before}{word}{after}"))).collect()
}

#[test]
fn figures_are_in_their_chapter() {
    let chapter = pages::read("docs/src/metrics.md");
    let words = chapter.split('`').skip(1).step_by(2);
    let told: BTreeSet<_> = words.flat_map(unfolded).collect();
    let ours: Vec<_> = families().iter().filter_map(|name| name.strip_prefix("skrouter_")).collect();
    assert!(ours.len() > 30, "{ours:?}");
    for name in ours {
        assert!(told.contains(name), "skrouter_{name} is not in docs/src/metrics.md");
    }
}

/// Whether there are figures of the names in the text.
pub(crate) fn check_families(place: &str, text: &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let names = text.split(|c| !is_part(c)).filter(|word| word.starts_with("skrouter_") || word.starts_with("qdr_"));
    for name in names {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let known = |name: &str| families().contains(name);
        assert!(known(name) || of_histogram.is_some_and(known), "{place}: there is no {name}");
    }
}
