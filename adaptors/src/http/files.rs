//! Files below a listener's root directory. Everything here waits for the disk.

use crate::files;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What a directory stands for.
const INDEX: &str = "index.html";

/// Types by the ends of names; anything else is octets.
const TYPES: &[(&str, &str)] = &[
    ("css", "text/css"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("mjs", "text/javascript"),
    ("otf", "font/otf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

/// A file that may be served.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    /// Its length in octets.
    pub(super) octets: u64,
    pub(super) content_type: &'static str,
    /// Changes with the file.
    pub(super) etag: String,
}

/// The file that the path of a request means. `None` also when it is not below the root, or no regular file.
pub(super) fn find(root: &Path, path: &str) -> Option<Found> {
    let root = root.canonicalize().ok()?;
    let named = root.join(relative(path)?);
    // Symbolic links may lead anywhere.
    let real = named.canonicalize().ok().filter(|real| real.starts_with(&root))?;
    let file = files::open(real).ok()?;
    let metadata = file.metadata().ok()?;
    Some(Found { file, octets: metadata.len(), content_type: content_type(&named), etag: etag(&metadata) })
}

/// The path below the root, percent-decoded; never one that leads up. A name with a slash, coded, is no file's.
fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let name = decoded(part)?;
        if matches!(&*name, b"." | b"..") || name.iter().any(|octet| matches!(octet, 0 | b'/')) {
            return None;
        }
        relative.push(OsStr::from_bytes(&name));
    }
    if path.ends_with('/') {
        relative.push(INDEX);
    }
    Some(relative)
}

/// The octets that percent-encoding stands for (RFC 3986, 2.1).
fn decoded(part: &str) -> Option<Vec<u8>> {
    let mut octets = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(octet) = octets.next() {
        decoded.push(if octet == b'%' { digit(octets.next()?)? << 4 | digit(octets.next()?)? } else { octet });
    }
    Some(decoded)
}

fn digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).map(|digit| digit as u8)
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let known =
        |extension: String| TYPES.iter().find(|(end, _)| *end == extension).map(|(_, content_type)| *content_type);
    extension.and_then(known).unwrap_or("application/octet-stream")
}

fn etag(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("\"{:x}-{:x}\"", metadata.len(), modified.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    /// A folder, removed when dropped.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn folder(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("http-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("root/sub")).expect("a folder");
        Folder(path)
    }

    fn text(root: &Path, path: &str) -> Option<String> {
        let mut text = String::new();
        find(root, path)?.file.read_to_string(&mut text).expect("read");
        Some(text)
    }

    #[test]
    fn paths_are_decoded_and_never_lead_up() {
        for (path, expected) in [
            ("/a.txt", Some("a.txt")),
            ("/", Some("index.html")),
            ("/sub/", Some("sub/index.html")),
            ("//sub//a", Some("sub/a")),
            ("/a%20b%2etxt", Some("a b.txt")),
            ("/..a/...", Some("..a/...")),
            ("/../a", None),
            ("/sub/..", None),
            ("/%2e%2e/a", None),
            ("/.%2E/a", None),
            ("/./a", None),
            ("/a%2fb", None),
            ("/..%2f..%2fetc%2fpasswd", None),
            ("/a%00b", None),
            ("/a%", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("/a%+1", None),
        ] {
            assert_eq!(relative(path).as_deref(), expected.map(Path::new), "{path}");
        }
    }

    #[test]
    fn files_are_found_below_the_root_only() {
        let folder = folder("below");
        let root = folder.0.join("root");
        for (name, content) in
            [("secret", "no"), ("root/a.txt", "a"), ("root/index.html", "index"), ("root/sub/b", "b")]
        {
            fs::write(folder.0.join(name), content).expect("written");
        }
        symlink("../secret", root.join("out")).expect("linked");
        symlink("sub/b", root.join("in")).expect("linked");
        symlink("..", root.join("up")).expect("linked");
        for (path, expected) in [
            ("/a.txt", Some("a")),
            ("/", Some("index")),
            ("/sub/b", Some("b")),
            ("/in", Some("b")),
            ("/out", None),
            ("/up/secret", None),
            ("/sub", None),
            ("/sub/", None),
            ("/a.txt/", None),
            ("/missing", None),
        ] {
            assert_eq!(text(&root, path).as_deref(), expected, "{path}");
        }
        assert_eq!(text(&folder.0.join("disabled"), "/a.txt"), None);
    }

    #[test]
    fn a_root_may_be_a_link() {
        let folder = folder("link");
        fs::write(folder.0.join("root/a"), "a").expect("written");
        symlink("root", folder.0.join("linked")).expect("linked");
        assert_eq!(text(&folder.0.join("linked"), "/a").as_deref(), Some("a"));
    }

    #[test]
    fn types_go_by_the_end_of_the_name() {
        for (name, expected) in [
            ("a.html", "text/html"),
            ("a.TXT", "text/plain"),
            ("a.json", "application/json"),
            ("a.woff2", "font/woff2"),
            ("a.tar.gz", "application/gzip"),
            ("a.conf", "application/octet-stream"),
            ("html", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
        assert!(TYPES.is_sorted());
    }

    #[test]
    fn a_changed_file_has_another_etag() {
        let folder = folder("etag");
        let root = folder.0.join("root");
        let etag = |content: &str| {
            fs::write(root.join("a"), content).expect("written");
            find(&root, "/a").expect("found").etag
        };
        assert_ne!(etag("one"), etag("three"));
    }
}
