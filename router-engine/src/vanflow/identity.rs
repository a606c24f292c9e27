//! Who a record is (spec `vanflow.md` section 3).

use crate::rng::{SecretRng, Seed};
use std::fmt;

/// Octets of the name of a source.
const SOURCE: usize = 5;

/// What generated names are made of.
const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_";

/// The name of a process that makes records: five octets of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId([u8; SOURCE]);

/// A record: its source, and which of the source's records it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Whose record it is.
    pub source: SourceId,
    /// The number of the record; 0 is the router's own.
    pub number: u64,
}

// === impl SourceId ===

impl SourceId {
    /// The name of a router: the end of its host's name, where that is the name of a pod, or else random.
    #[must_use]
    pub fn new(hostname: Option<&str>, seed: Seed) -> Self {
        hostname.and_then(Self::of_pod).unwrap_or_else(|| Self::random(&mut SecretRng::new(seed)))
    }

    fn of_pod(hostname: &str) -> Option<Self> {
        let (rest, end) = hostname.as_bytes().split_last_chunk()?;
        (rest.len() > 1 && rest.ends_with(b"-") && end.is_ascii()).then_some(Self(*end))
    }

    fn random(rng: &mut SecretRng) -> Self {
        Self(std::array::from_fn(|_| ALPHABET[rng.next_u64() as usize % ALPHABET.len()]))
    }

    fn parse(text: &str) -> Option<Self> {
        text.as_bytes().try_into().ok().filter(|source: &[u8; SOURCE]| source.is_ascii()).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

// === impl Identity ===

impl Identity {
    /// Reads an identity as it is written; none when it is not one of a numbered record.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (source, number) = text.split_once(':')?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        Some(Self { source: SourceId::parse(source)?, number: digits.then(|| number.parse().ok())?? })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.as_str(), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_give_their_routers_a_name() {
        for (hostname, name) in [
            ("skupper-router-5d8f-x7k2p", Some("x7k2p")),
            ("a-12345", Some("12345")),
            ("-12345", None),
            ("foo-rtr-abc123", None),
            ("x7k2p", None),
            ("", None),
            ("host-ümlä", None),
        ] {
            assert_eq!(SourceId::of_pod(hostname).as_ref().map(SourceId::as_str), name, "{hostname}");
        }
    }

    #[test]
    fn other_routers_have_random_ones() {
        let names = (0..100).map(|seed| SourceId::new(Some("host"), Seed::from(seed)));
        let names: std::collections::HashSet<_> = names.collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.as_str().bytes().all(|b| ALPHABET.contains(&b))));
    }

    #[test]
    fn identities_are_read_as_they_are_written() {
        let identity = Identity { source: SourceId(*b"j2iDV"), number: 17 };
        assert_eq!(identity.to_string(), "j2iDV:17");
        assert_eq!(Identity::parse("j2iDV:17"), Some(identity));
        for bad in ["", "j2iDV", "j2iDV:", "j2iD:1", "j2iDVx:1", "j2iDV:-1", "j2iDV:+1", "j2iDV:1x", ":1", "j2iDü:1"] {
            assert_eq!(Identity::parse(bad), None, "{bad}");
        }
        assert_eq!(Identity::parse("j2iDV:99999999999999999999"), None, "too large");
    }
}
