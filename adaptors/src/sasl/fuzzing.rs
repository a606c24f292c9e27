//! What the fuzz targets and the property tests of SASL files run: each takes anything and panics when something is
//! wrong.
#![allow(clippy::missing_panics_doc, reason = "they are there to panic")]

use super::{KNOWN, SaslConfig, cyrus, sasldb};

/// What is read of a configuration file is read again of one that is written with it, and decides as much.
pub fn configuration(text: &str) {
    let (config, fault) = SaslConfig::parse(text);
    assert!(config.mechanisms(None).iter().all(|name| KNOWN.contains(&name.as_str())));
    let (options, _) = cyrus::options(text);
    let written: String = options.iter().map(|(key, value)| format!("{key}:{value}\n")).collect();
    assert_eq!(SaslConfig::parse(&written), (config, None), "{fault:?} in {text:?}");
}

/// A database of any octets: a password comes out of the file, if one does.
pub fn database(octets: &[u8]) {
    if let Some(Some(password)) = sasldb::find(octets, b"user\0realm\0userPassword") {
        assert!(octets.as_ptr_range().contains(&password.as_ptr()) || password.is_empty());
    }
}
