//! Where the configuration comes from.

use super::environment::Environment;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A configuration, or what it is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The variable holds the text itself.
    Text(String),
    /// Files, and folders whose `*.conf` files count.
    Paths(Vec<PathBuf>),
    /// None: the router's default file.
    Default,
}

// === impl Source ===

impl Source {
    /// What `QDROUTERD_CONF` says.
    pub(super) fn of(environment: &Environment) -> Self {
        let Some(value) = environment.get("QDROUTERD_CONF") else { return Self::Default };
        let opens = value.find('{');
        if opens.is_some_and(|at| value[at..].contains('}')) {
            return Self::Text(format!("{value}\n"));
        }
        let paths = value.split([':', ',']).filter(|path| !path.is_empty());
        Self::Paths(paths.map(PathBuf::from).collect())
    }

    /// The text; none where the router's default holds. What is not there or cannot be read is told, and left out: the
    /// router then says what it lacks, and does not start with something that nobody has configured.
    pub(super) fn read(&self, tell: &mut dyn FnMut(&str)) -> Option<String> {
        let paths = match self {
            Self::Text(text) => return Some(text.clone()),
            Self::Paths(paths) => paths,
            Self::Default => return None,
        };
        let mut text = String::new();
        for path in paths {
            let files = if path.is_dir() {
                configurations(path)
            } else if path.is_file() {
                Ok(vec![path.clone()])
            } else {
                tell(&format!("No such file or directory: {}", path.display()));
                continue;
            };
            let read = files.and_then(|files| files.iter().map(|file| read(file)).collect::<io::Result<String>>());
            match read {
                Ok(more) => text.push_str(&more),
                Err(error) => tell(&error.to_string()),
            }
        }
        Some(text)
    }
}

/// The configuration files of a folder, in the order of their names.
fn configurations(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| at(folder, &error))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_hidden = |file: &PathBuf| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf") && !is_hidden(file));
    files.sort();
    Ok(files)
}

/// As the router does, which has no other encoding to fall back to.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let octets = fs::read(file).map_err(|error| at(file, &error))?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// An error that names the path.
pub(super) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(value: &str) -> Source {
        Source::of(&Environment::of([("QDROUTERD_CONF", value)]))
    }

    #[test]
    fn text_paths_or_nothing() {
        assert_eq!(source("router { id: a }"), Source::Text("router { id: a }\n".to_owned()));
        assert_eq!(source("[[\"router\", {}]]"), Source::Text("[[\"router\", {}]]\n".to_owned()));
        assert_eq!(source("/a:/b,c"), Source::Paths(vec!["/a".into(), "/b".into(), "c".into()]));
        assert_eq!(source("} {"), Source::Paths(vec!["} {".into()]));
        assert_eq!(source(""), Source::Default);
        assert_eq!(Source::of(&Environment::of([])), Source::Default);
    }

    #[test]
    fn files_and_folders_are_put_together() {
        let folder = std::env::temp_dir().join(format!("launch-source-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in [("b.conf", "second\n"), ("a.conf", "first\n"), ("c.json", "no\n"), (".x.conf", "no\n")] {
            fs::write(folder.join(name), text).expect("written");
        }
        let mut told = Vec::new();
        let paths = Source::Paths(vec![folder.clone(), "/nowhere".into(), folder.join("c.json")]);
        let text = paths.read(&mut |text| told.push(text.to_owned()));
        assert_eq!(text.as_deref(), Some("first\nsecond\nno\n"));
        assert_eq!(told, ["No such file or directory: /nowhere"]);
        assert_eq!(Source::Default.read(&mut |_| ()), None);
        fs::remove_dir_all(folder).expect("there");
    }
}
