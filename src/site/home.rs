//! The folder of a namespace, laid out as Skupper does it on Linux hosts.
//!
//! ```text
//!  input/resources   what is to be          runtime/router   the router's configuration
//!  input/certs       credentials, and       runtime/certs    credentials in use
//!  input/issuers     authorities, that      runtime/issuers  authorities in use
//!                    users bring            runtime/links    links for other sites
//!  internal          what was made here     runtime/resources, runtime/status.json: how it stands
//! ```

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;
use site::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Octets of the largest file of resources.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// Octets of all files of resources in a folder.
const MAX_ALL: usize = 64 * 1024 * 1024;

/// Octets of the largest file of a credential.
const MAX_CREDENTIAL: u64 = 1024 * 1024;

/// Files of one folder.
const MAX_FILES: usize = 10_000;

/// The folder of a namespace.
#[derive(Debug, Clone)]
pub(super) struct Home(PathBuf);

/// What a site was when it ran before.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// The identity of the site.
    pub(super) site_id: Option<String>,
    /// The id of the router.
    pub(super) router_id: Option<String>,
    /// The ports of listeners by their names.
    pub(super) ports: BTreeMap<String, u16>,
}

// === impl Home ===

impl Home {
    /// Where it is, from what was said, the folder of resources, and the namespace.
    pub(super) fn find(given: Option<&Path>, resources: Option<&Path>, namespace: &str) -> Self {
        if let Some(home) = given {
            return Self(absolute(home));
        }
        let found = resources.map(absolute).and_then(|path| {
            let home = path.ancestors().nth(2)?;
            path.ends_with("input/resources").then(|| home.to_owned())
        });
        Self(found.unwrap_or_else(|| data_home().join("namespaces").join(namespace)))
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    /// Makes the folders. What is in `runtime` and `internal` may be secret.
    pub(super) fn prepare(&self) -> io::Result<()> {
        for folder in ["input/resources", "input/certs", "input/issuers"] {
            fs::create_dir_all(self.path(folder))?;
        }
        for folder in
            ["runtime/router", "runtime/certs", "runtime/issuers", "runtime/links", "runtime/resources", "internal"]
        {
            make_folder(&self.path(folder))?;
        }
        // For Skupper's tools.
        renew(&self.path("internal/platform.yaml"), b"platform: linux\n").map(drop)
    }

    /// Keeps other processes from being this site, for as long as the value is there.
    ///
    /// # Errors
    /// When one is it already.
    pub(super) fn occupy(&self) -> io::Result<Flock<fs::File>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.path("internal/lock"))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| io::Error::other(format!("another process is the site in {}", self.0.display())))
    }

    /// What the configuration of the last run tells.
    pub(super) fn former(&self) -> Former {
        let mut former = Former::default();
        let text = fs::read_to_string(self.path("runtime/router/skrouterd.json")).unwrap_or_default();
        let Ok(Value::Array(entities)) = serde_json::from_str(&text) else { return former };
        for entity in &entities {
            let text = |name: &str| entity[1][name].as_str().map(str::to_owned);
            match entity[0].as_str() {
                Some("router") => {
                    former.router_id = text("id");
                    let metadata = serde_json::from_str::<Value>(&text("metadata").unwrap_or_default());
                    former.site_id = metadata.ok().and_then(|data| data["id"].as_str().map(str::to_owned));
                }
                Some("listener") => {
                    let port = entity[1]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
                    former.ports.extend(text("name").zip(port));
                }
                _ => {}
            }
        }
        former
    }

    /// Folders below `below`, and their files.
    pub(super) fn brought(&self, below: &str) -> BTreeMap<String, BTreeSet<String>> {
        let names = |path: &Path| -> BTreeSet<String> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten().take(MAX_FILES);
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        let folders = names(&self.path(below)).into_iter().filter(|name| self.path(below).join(name).is_dir());
        folders.map(|name| (name.clone(), names(&self.path(below).join(&name)))).collect()
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn data_home() -> PathBuf {
    if nix::unistd::getuid().is_root() {
        return "/var/lib/skupper".into();
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    data.unwrap_or_else(|| "/var/lib".into()).join("skupper")
}

pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only the own user may read, as a whole or not at all.
pub(super) fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(octets)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

/// Writes a file if it does not say so already. Whether it did not.
pub(super) fn renew(path: &Path, octets: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == octets) {
        return Ok(false);
    }
    write(path, octets).map(|()| true)
}

/// Reads a file that is not too large.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = adaptors::files::open(path)?;
    let mut octets = Vec::new();
    file.take(most + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > most { Err(io::Error::other("the file is too large")) } else { Ok(octets) }
}

/// A file of a credential.
pub(super) fn read_credential(path: &Path) -> io::Result<Vec<u8>> {
    read(path, MAX_CREDENTIAL)
}

/// The files of resources in a folder, by name.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn sources(folder: &Path) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_resource = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_resource && !is_hidden && !path.is_dir() {
            files.push(path);
        }
    }
    if files.len() > MAX_FILES {
        return Err(io::Error::other("there are too many files"));
    }
    files.sort();
    let (mut sources, mut octets) = (Vec::new(), 0);
    for source in files.into_iter().filter_map(|path| source(&path)) {
        octets += source.text.as_ref().map_or(0, String::len);
        if octets > MAX_ALL {
            return Err(io::Error::other("the files are too large"));
        }
        sources.push(source);
    }
    Ok(sources)
}

/// None of a file that has gone meanwhile.
fn source(path: &Path) -> Option<Source> {
    let text = match read(path, MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(octets) => String::from_utf8(octets).map_err(|_| "the file is no text (UTF-8)".to_owned()),
    };
    Some(Source { file: path.display().to_string(), text })
}

/// The first port from `first` on that nobody has.
pub(super) fn free_port(first: u16, taken: &BTreeSet<u16>) -> u16 {
    let is_free = |port: &u16| !taken.contains(port) && TcpListener::bind(("0.0.0.0", *port)).is_ok();
    (first..=u16::MAX).find(is_free).unwrap_or(first)
}

/// Names and addresses by which other hosts may know this one.
pub(super) fn own_names() -> Vec<String> {
    let mut names: Vec<String> =
        nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).into_iter().collect();
    for interface in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else { continue };
        let v4 = address.as_sockaddr_in().map(|v4| v4.ip()).filter(|ip| !ip.is_loopback());
        let v6 = address.as_sockaddr_in6().map(|v6| v6.ip());
        let v6 = v6.filter(|ip| !ip.is_loopback() && !ip.is_unicast_link_local());
        names.extend(v4.map(|ip| ip.to_string()).or(v6.map(|ip| ip.to_string())));
    }
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_home_follows_from_where_resources_are() {
        let of = |given: Option<&str>, resources: &str, namespace| {
            Home::find(given.map(Path::new), Some(Path::new(resources)), namespace).0
        };
        assert_eq!(of(Some("/h"), "/a/input/resources", "n"), Path::new("/h"));
        assert_eq!(of(None, "/a/input/resources", "n"), Path::new("/a"));
        assert!(of(None, "/a/resources", "n").ends_with("skupper/namespaces/n"));
    }

    #[test]
    fn files_are_replaced_as_a_whole_and_kept_from_others() {
        let folder = std::env::temp_dir().join(format!("site-home-{}", std::process::id()));
        make_folder(&folder).expect("a folder");
        let file = folder.join("tls.key");
        assert!(renew(&file, b"1").expect("written"));
        assert!(!renew(&file, b"1").expect("the same"));
        assert!(renew(&file, b"2").expect("written"));
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!((mode & 0o777, fs::read(&file).expect("readable")), (0o600, b"2".to_vec()));
        assert_eq!(fs::read_dir(&folder).expect("readable").count(), 1, "nothing else is left behind");
        fs::remove_dir_all(folder).expect("there");
    }
}
