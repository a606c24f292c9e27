//! The message of the PLAIN mechanism (RFC 4616).

use super::Secret;
use bytes::Bytes;

/// A user name and password to be checked by whoever knows the users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainCredentials {
    /// The authorization identity; may be empty.
    pub authzid: String,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

// === impl PlainCredentials ===

impl PlainCredentials {
    /// Reads the message. `None` when it is malformed or names no user.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(message).ok()?.split('\0');
        let (authzid, username, password) = (parts.next()?, parts.next()?, parts.next()?);
        let credentials =
            Self { authzid: authzid.to_owned(), username: username.to_owned(), password: password.into() };
        (parts.next().is_none() && !username.is_empty()).then_some(credentials)
    }

    /// The message.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        format!("{}\0{}\0{}", self.authzid, self.username, self.password.expose()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_malformed() {
        let given = PlainCredentials { authzid: "z".into(), username: "u".into(), password: "p".into() };
        assert_eq!(PlainCredentials::parse(&given.to_bytes()), Some(given.clone()));
        assert!(!format!("{given:?}").contains("\"p\""), "{given:?}");
        for bad in [&b""[..], b"u", b"\0u", b"\0\0p", b"\0u\0p\0", b"\xff\0u\0p"] {
            assert_eq!(PlainCredentials::parse(bad), None);
        }
    }
}
