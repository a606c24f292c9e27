//! What the fuzz targets and the property tests of SASL files run: each takes anything and panics when something is
//! wrong.
#![allow(clippy::missing_panics_doc, reason = "they are there to panic")]

use super::exchange::Exchange;
use super::scram::{Hash, ScramClient, ScramServer};
use super::{SaslConfig, cyrus, sasldb};
use router_engine::port::{AuthReply, Mechanism};
use zeroize::Zeroizing;

/// What is read of a configuration file is read again of one that is written with it, and decides as much.
pub fn configuration(text: &str) {
    let (config, fault) = SaslConfig::parse(text);
    assert!(config.mechanisms(None).iter().all(|name| Mechanism::parse(name).is_some()));
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

/// Both sides of SCRAM with messages of anybody, separated by line feeds: nobody gets in who does not know the password,
/// neither as a client nor as a server.
pub fn scram(octets: &[u8]) {
    let messages: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').collect();
    let secret = |_: &str| Some(Zeroizing::new(b"a password that no message shows".to_vec()));
    let mut server = ScramServer::fixed(Hash::Sha256, Box::new(secret), "N", |_, _| vec![1]);
    let mut client = ScramClient::fixed(Hash::Sha1, "user", "a password that no message shows", "C");
    client.step(b"");
    for message in messages {
        for side in [&mut server as &mut dyn Exchange, &mut client] {
            assert!(!matches!(side.step(message), AuthReply::Accepted { .. }), "{octets:?}");
        }
    }
}
