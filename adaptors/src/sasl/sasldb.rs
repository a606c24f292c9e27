//! A sasldb: a Berkeley DB hash database of users and properties.
//!
//! Such databases are tiny, so a look-up walks all hash pages, and one is made anew when users change. Every offset comes from the file and
//! is checked: a broken file has no users.

mod write;

use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::fs;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Magic number of a hash database, on its first page.
const HASH_MAGIC: u32 = 0x0006_1561;
/// Magic numbers of GDBM databases, of 32 and 64 bits, old and new, at the very beginning.
const GDBM_MAGIC: RangeInclusive<u32> = 0x1357_9acd..=0x1357_9ad1;
/// A larger file is not a sasldb.
const MAX_FILE: u64 = 64 * 1024 * 1024;

mod offset {
    pub(super) const MAGIC: usize = 12;
    pub(super) const PAGE_SIZE: usize = 20;
    pub(super) const ENTRIES: usize = 20;
    pub(super) const TYPE: usize = 25;
    pub(super) const INDEX: usize = 26;
}

/// Page types that hold keys and data.
const HASH_PAGES: [u8; 2] = [2, 13];
/// The item type of plain keys and data.
const KEY_OR_DATA: u8 = 1;

/// A sasldb file, read anew with every look-up: it may change at any time.
#[derive(Debug, Clone)]
pub struct SaslDb {
    path: String,
}

// === impl SaslDb ===

impl SaslDb {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes a database of users of a realm and their passwords, in the place of what is there. Only its owner may read it.
    ///
    /// # Errors
    /// When it cannot be written, or a name or a password is too long.
    pub fn create(path: &Path, realm: &str, users: &[(String, Vec<u8>)]) -> io::Result<()> {
        let pair = |(user, password): &(String, Vec<u8>)| (key(user, realm).into_bytes(), password.clone());
        let database = write::database(&users.iter().map(pair).collect::<Vec<_>>())?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&database)
    }

    /// The password of a user of a realm.
    pub(super) fn password(&self, user: &str, realm: &str) -> Option<Zeroizing<Vec<u8>>> {
        let read = fs::metadata(&self.path)
            .and_then(|m| if m.len() > MAX_FILE { Ok(Vec::new()) } else { fs::read(&self.path) });
        let file = match read {
            Ok(file) => Zeroizing::new(file),
            Err(error) => {
                log!(LogModule::Server, Level::Error, "Unable to read sasldb {}: {error}", self.path);
                return None;
            }
        };
        let Some(found) = find(&file, key(user, realm).as_bytes()) else {
            log!(LogModule::Server, Level::Error, "{} {}", self.path, what_else(&file));
            return None;
        };
        found.map(|password| Zeroizing::new(password.to_vec()))
    }
}

/// What a file is that is no database of ours, and what to do about it.
fn what_else(file: &[u8]) -> &'static str {
    let magic = [false, true].into_iter().filter_map(|swapped| number32(file, 0, swapped));
    if magic.into_iter().any(|magic| GDBM_MAGIC.contains(&magic)) {
        "is a GDBM database, which is not supported: make a Berkeley DB one of the same users, with the saslpasswd2 of a \
         system whose Cyrus SASL uses those, such as Debian"
    } else {
        "is not a Berkeley DB hash database"
    }
}

/// Where the library keeps the password of a user.
fn key(user: &str, realm: &str) -> String {
    [user, realm, "userPassword"].join("\0")
}

/// The data of a key; the outer `None` when the file is not a hash database.
pub(super) fn find<'a>(file: &'a [u8], wanted: &[u8]) -> Option<Option<&'a [u8]>> {
    let swapped = match number32(file, offset::MAGIC, false)? {
        HASH_MAGIC => false,
        magic if magic.swap_bytes() == HASH_MAGIC => true,
        _ => return None,
    };
    let page_size = number32(file, offset::PAGE_SIZE, swapped)? as usize;
    if !(512..=64 * 1024).contains(&page_size) {
        return None;
    }
    Some(file.chunks_exact(page_size).skip(1).find_map(|page| find_in_page(page, wanted, swapped)))
}

fn find_in_page<'a>(page: &'a [u8], wanted: &[u8], swapped: bool) -> Option<&'a [u8]> {
    if !HASH_PAGES.contains(page.get(offset::TYPE)?) {
        return None;
    }
    let entries = usize::from(number16(page, offset::ENTRIES, swapped)?);
    // Items lie behind each other from the page's end towards its front: keys and data in turns.
    let start = |item: usize| number16(page, offset::INDEX + 2 * item, swapped).map(usize::from);
    let item = |n: usize| {
        let end = if n == 0 { page.len() } else { start(n - 1)? };
        match page.get(start(n)?..end)? {
            [KEY_OR_DATA, content @ ..] => Some(content),
            _ => None,
        }
    };
    (0..entries / 2).find(|pair| item(2 * pair) == Some(wanted)).and_then(|pair| item(2 * pair + 1))
}

fn number16(data: &[u8], at: usize, swapped: bool) -> Option<u16> {
    let number = u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?);
    Some(if swapped { number.swap_bytes() } else { number })
}

fn number32(data: &[u8], at: usize, swapped: bool) -> Option<u32> {
    let number = u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?);
    Some(if swapped { number.swap_bytes() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// A database with one page of the given items, laid out as Berkeley DB does.
    fn database(items: &[&[u8]]) -> Vec<u8> {
        let mut file = vec![0; 1024];
        file[offset::MAGIC..][..4].copy_from_slice(&HASH_MAGIC.to_le_bytes());
        file[offset::PAGE_SIZE..][..4].copy_from_slice(&512_u32.to_le_bytes());
        let page = &mut file[512..];
        page[offset::TYPE] = 13;
        page[offset::ENTRIES] = items.len() as u8;
        let mut end = 512;
        for (n, item) in items.iter().enumerate() {
            let start = end - item.len() - 1;
            page[start] = KEY_OR_DATA;
            page[start + 1..end].copy_from_slice(item);
            page[offset::INDEX + 2 * n..][..2].copy_from_slice(&(start as u16).to_le_bytes());
            end = start;
        }
        file
    }

    #[test]
    fn finds_users_and_survives_damage() {
        let file = database(&[b"bob\0h\0userPassword", b"one", b"test\0domain.com\0userPassword", b"password"]);
        assert_eq!(find(&file, b"test\0domain.com\0userPassword"), Some(Some(&b"password"[..])));
        assert_eq!(find(&file, b"bob\0h\0userPassword"), Some(Some(&b"one"[..])));
        assert_eq!(find(&file, b"eve\0h\0userPassword"), Some(None));
        assert_eq!(find(b"rubbish", b"x"), None);
        for at in 512..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = file.clone();
                broken[at] = value;
                let _ = find(&broken, b"bob\0h\0userPassword");
            }
        }
    }

    #[test]
    fn other_databases_are_named() {
        for gdbm in [0x1357_9acd_u32.to_le_bytes(), 0x1357_9acf_u32.to_be_bytes()] {
            assert_eq!(find(&gdbm, b"x"), None);
            assert!(what_else(&gdbm).contains("GDBM"));
        }
        assert_eq!(what_else(b"SQLite format 3"), "is not a Berkeley DB hash database");
        assert_eq!(what_else(b""), "is not a Berkeley DB hash database");
    }

    #[test]
    fn reads_what_the_library_writes() {
        let path = std::env::temp_dir().join(format!("sasldb-{}", std::process::id()));
        let child = Command::new("saslpasswd2")
            .args(["-c", "-p", "-u", "domain.com", "-f"])
            .arg(&path)
            .arg("test")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else { return };
        child.stdin.take().unwrap().write_all(b"password\n").unwrap();
        if !child.wait().unwrap().success() {
            return;
        }
        let db = SaslDb::new(path.to_str().unwrap());
        assert_eq!(db.password("test", "domain.com").as_ref().map(|p| p.as_slice()), Some(&b"password"[..]));
        assert_eq!(db.password("test", "elsewhere"), None);
        std::fs::remove_file(path).unwrap();
    }
}
