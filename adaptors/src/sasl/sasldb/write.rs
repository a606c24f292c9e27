//! Makes sasldb files: Berkeley DB hash databases of version 9 with two buckets, whose pages are chained when they are full.

use super::{HASH_MAGIC, KEY_OR_DATA, offset};
use std::io;

const PAGE: usize = 4096;

/// The version of hash databases whose pages are sorted by key.
const VERSION: u32 = 9;

/// Types of the first page, and of pages with items.
const META_PAGE: u8 = 8;
const HASH_PAGE: u8 = 13;

const BUCKETS: u32 = 2;

/// Where the first page tells more than a reader needs who looks at every page.
mod meta {
    pub(super) const VERSION: usize = 16;
    pub(super) const LAST_PAGE: usize = 32;
    pub(super) const KEYS: usize = 40;
    pub(super) const RECORDS: usize = 44;
    pub(super) const UID: usize = 52;
    pub(super) const MAX_BUCKET: usize = 72;
    pub(super) const HIGH_MASK: usize = 76;
    pub(super) const ELEMENTS: usize = 88;
    pub(super) const CHECK: usize = 92;
    pub(super) const SPARES: usize = 96;
}

/// Where a page tells which pages are beside it in its bucket.
const NUMBER: usize = 8;
const PREVIOUS: usize = 12;
const NEXT: usize = 16;
const FREE_END: usize = 22;

/// What databases hash to tell that they use the same function.
const CHECK: &[u8] = b"%$sniglet^&\0";

/// A database of keys and data.
///
/// # Errors
/// When a pair is too large for a page.
pub(super) fn database(pairs: &[(Vec<u8>, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut pages = vec![vec![0; PAGE]; 1 + BUCKETS as usize];
    for bucket in 0..BUCKETS {
        let mut own: Vec<_> = pairs.iter().filter(|(key, _)| hash(key) % BUCKETS == bucket).collect();
        own.sort_by(|(one, _), (other, _)| one.len().cmp(&other.len()).then(one.cmp(other)));
        fill(&mut pages, 1 + bucket as usize, &own)?;
    }
    let last = u32::try_from(pages.len() - 1).map_err(|_| too_large())?;
    let count = u32::try_from(pairs.len()).map_err(|_| too_large())?;
    let first = &mut pages[0];
    for (at, number) in [
        (offset::MAGIC, HASH_MAGIC),
        (meta::VERSION, VERSION),
        (offset::PAGE_SIZE, PAGE as u32),
        (meta::LAST_PAGE, last),
        (meta::KEYS, count),
        (meta::RECORDS, count),
        (meta::MAX_BUCKET, BUCKETS - 1),
        (meta::HIGH_MASK, BUCKETS - 1),
        (meta::ELEMENTS, 0),
        (meta::CHECK, hash(CHECK)),
        // Both buckets are behind the first page.
        (meta::SPARES, 1),
        (meta::SPARES + 4, 1),
        // The log position of databases without a log.
        (4, 1),
        (meta::UID, pairs.iter().fold(count, |uid, (key, _)| uid.wrapping_mul(31) ^ hash(key))),
    ] {
        first[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    first[offset::TYPE] = META_PAGE;
    Ok(pages.concat())
}

/// Fills a bucket, from its first page on; more pages come behind all others.
fn fill(pages: &mut Vec<Vec<u8>>, first: usize, pairs: &[&(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
    let mut at = first;
    begin_page(&mut pages[at], at, 0);
    for (key, data) in pairs {
        if !fits(&pages[at], key, data) {
            let next = pages.len();
            pages.push(vec![0; PAGE]);
            begin_page(&mut pages[next], next, at);
            put32(&mut pages[at], NEXT, next);
            at = next;
            if !fits(&pages[at], key, data) {
                return Err(too_large());
            }
        }
        put(&mut pages[at], key);
        put(&mut pages[at], data);
    }
    Ok(())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a user name or password is too long for a sasldb")
}

fn begin_page(page: &mut [u8], number: usize, previous: usize) {
    put32(page, 4, 1);
    put32(page, NUMBER, number);
    put32(page, PREVIOUS, previous);
    put16(page, FREE_END, PAGE);
    page[offset::TYPE] = HASH_PAGE;
}

fn fits(page: &[u8], key: &[u8], data: &[u8]) -> bool {
    let index = offset::INDEX + 2 * (get16(page, offset::ENTRIES) + 2);
    get16(page, FREE_END) >= index + key.len() + data.len() + 2
}

/// Adds an item, towards the front of the page.
fn put(page: &mut [u8], item: &[u8]) {
    let (entries, end) = (get16(page, offset::ENTRIES), get16(page, FREE_END));
    let start = end - item.len() - 1;
    page[start] = KEY_OR_DATA;
    page[start + 1..end].copy_from_slice(item);
    put16(page, offset::INDEX + 2 * entries, start);
    put16(page, offset::ENTRIES, entries + 1);
    put16(page, FREE_END, start);
}

fn get16(page: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([page[at], page[at + 1]]))
}

/// Positions in a page and their counts have 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
fn put16(page: &mut [u8], at: usize, value: usize) {
    page[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
}

#[expect(clippy::cast_possible_truncation, reason = "a database of 16 TiB does not fit into memory")]
fn put32(page: &mut [u8], at: usize, value: usize) {
    page[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

/// The hash function of Berkeley DB since version 5 of hash databases: Fowler's, Noll's and Vo's.
fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0, |hash: u32, &octet| hash.wrapping_mul(16_777_619) ^ u32::from(octet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::sasldb::find;
    use std::process::Command;

    fn pairs(count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        (0..count).map(|n| (format!("user{n}\0realm\0userPassword").into(), format!("secret{n}").into())).collect()
    }

    #[test]
    fn what_is_written_is_found() {
        for count in [0, 1, 2, 5, 1000] {
            let pairs = pairs(count);
            let file = database(&pairs).expect("small");
            assert_eq!(file.len() % PAGE, 0);
            for (key, data) in &pairs {
                assert_eq!(find(&file, key), Some(Some(data.as_slice())));
            }
            assert_eq!(find(&file, b"nobody"), Some(None));
        }
        database(&[(vec![b'u'; PAGE], vec![])]).expect_err("too large");
    }

    #[test]
    fn the_library_reads_it() {
        let path = std::env::temp_dir().join(format!("written-sasldb-{}", std::process::id()));
        for count in [0, 3, 500] {
            std::fs::write(&path, database(&pairs(count)).expect("small")).expect("written");
            let Ok(dump) = Command::new("db_dump").arg("-p").arg(&path).output() else { return };
            assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
            let text = String::from_utf8_lossy(&dump.stdout).into_owned();
            assert_eq!(text.matches("secret").count(), count, "{text}");
            let verified = Command::new("db_verify").arg(&path).output().expect("beside db_dump");
            assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        }
        std::fs::remove_file(path).expect("there");
    }
}
