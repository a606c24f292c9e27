//! The message of the PLAIN mechanism (RFC 4616).

use bytes::Bytes;
use std::fmt;

/// A user name and password to be checked by whoever knows the users.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainCredentials {
    /// The authorization identity; may be empty.
    pub authzid: String,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

// === impl PlainCredentials ===

impl PlainCredentials {
    /// Reads the message. `None` when it is malformed or names no user.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(message).ok()?.split('\0').map(str::to_owned);
        let (authzid, username, password) = (parts.next()?, parts.next()?, parts.next()?);
        (parts.next().is_none() && !username.is_empty()).then_some(Self { authzid, username, password })
    }

    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        format!("{}\0{}\0{}", self.authzid, self.username, self.password).into()
    }
}

/// Passwords do not belong in logs.
impl fmt::Debug for PlainCredentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PlainCredentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_malformed() {
        let given = PlainCredentials { authzid: "z".into(), username: "u".into(), password: "p".into() };
        assert_eq!(PlainCredentials::parse(&given.to_bytes()), Some(given.clone()));
        assert!(!format!("{given:?}").contains('p') || !format!("{given:?}").contains("\"p\""));
        for bad in [&b""[..], b"u", b"\0u", b"\0\0p", b"\0u\0p\0", b"\xff\0u\0p"] {
            assert_eq!(PlainCredentials::parse(bad), None);
        }
    }
}
