//! Protocol and cipher names as OpenSSL spells them, and its cipher-list syntax for what rustls has.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// The name of a protocol version.
pub(super) fn protocol(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    }
}

/// OpenSSL's name of a cipher suite and the bits of its key.
pub(super) fn cipher(suite: CipherSuite) -> (&'static str, u32) {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-ECDSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-ECDSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-ECDSA-CHACHA20-POLY1305", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-RSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-RSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-RSA-CHACHA20-POLY1305", 256),
        _ => ("unknown", 0),
    }
}

/// The protocol versions of a `protocols` attribute; `None` for an empty list, an unknown name, or
/// when nothing is left that is still safe to speak (TLS 1.0 and 1.1 are known but not offered).
pub(super) fn parse_protocols(text: &str) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let mut versions = Vec::new();
    for token in text.split([' ', ',', ';']).filter(|t| !t.is_empty()) {
        let version = match token {
            "TLSv1" | "TLSv1.0" | "TLSv1.1" => continue,
            "TLSv1.2" => &rustls::version::TLS12,
            "TLSv1.3" => &rustls::version::TLS13,
            _ => return None,
        };
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    (!versions.is_empty()).then_some(versions)
}

/// Applies an OpenSSL cipher list to the TLS 1.2 suites of a provider; TLS 1.3 suites stay as they are.
/// `None` when the list selects nothing.
pub(super) fn select_ciphers(provider: &CryptoProvider, list: &str) -> Option<Vec<SupportedCipherSuite>> {
    let (tls13, tls12): (Vec<_>, Vec<_>) =
        provider.cipher_suites.iter().copied().partition(|s| s.version().version == ProtocolVersion::TLSv1_3);
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    let mut killed: Vec<SupportedCipherSuite> = Vec::new();
    let mut names_tls13 = false;
    for token in list.split([':', ',', ' ', ';']).filter(|t| !t.is_empty()) {
        let (operator, name) = match token.as_bytes()[0] {
            op @ (b'!' | b'-' | b'+') => (op, &token[1..]),
            b'@' => continue,
            _ => (b' ', token),
        };
        names_tls13 |= tls13.iter().any(|s| cipher(s.suite()).0 == name);
        let matching = tls12.iter().copied().filter(|s| name.split('+').all(|part| matches(part, cipher(s.suite()).0)));
        for suite in matching {
            match operator {
                b'!' => {
                    killed.push(suite);
                    chosen.retain(|&s| s != suite);
                }
                b'-' => chosen.retain(|&s| s != suite),
                b'+' => {
                    if let Some(at) = chosen.iter().position(|&s| s == suite) {
                        let moved = chosen.remove(at);
                        chosen.push(moved);
                    }
                }
                _ if !chosen.contains(&suite) && !killed.contains(&suite) => chosen.push(suite),
                _ => {}
            }
        }
    }
    if chosen.is_empty() && !names_tls13 {
        return None;
    }
    Some(tls13.into_iter().chain(chosen).collect())
}

/// Whether one keyword of a cipher string covers a suite, named as OpenSSL does.
fn matches(keyword: &str, suite: &str) -> bool {
    match keyword {
        "ALL"
        | "DEFAULT"
        | "COMPLEMENTOFDEFAULT"
        | "HIGH"
        | "ECDH"
        | "ECDHE"
        | "EECDH"
        | "kECDHE"
        | "kEECDH"
        | "TLSv1.2"
        | "FIPS" => true,
        "ECDSA" | "aECDSA" => suite.contains("-ECDSA-"),
        "aRSA" => suite.contains("-RSA-"),
        "AES" | "AESGCM" => suite.contains("AES"),
        "AES128" => suite.contains("AES128"),
        "AES256" => suite.contains("AES256"),
        "CHACHA20" => suite.contains("CHACHA20"),
        "SHA256" => suite.ends_with("SHA256"),
        "SHA384" => suite.ends_with("SHA384"),
        exact => exact == suite,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Option<Vec<&'static str>> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let suites = select_ciphers(&provider, list)?;
        Some(suites.iter().map(|s| cipher(s.suite()).0).filter(|n| n.starts_with("ECDHE")).collect())
    }

    #[test]
    fn cipher_lists() {
        assert_eq!(names("ECDHE-RSA-AES256-GCM-SHA384").unwrap(), ["ECDHE-RSA-AES256-GCM-SHA384"]);
        assert_eq!(names("ALL:!aNULL:!eNULL:@STRENGTH").unwrap().len(), 6);
        assert_eq!(names("ECDHE+AES256:!aRSA").unwrap(), ["ECDHE-ECDSA-AES256-GCM-SHA384"],);
        assert!(!names("ALL:!CHACHA20").unwrap().iter().any(|n| n.contains("CHACHA20")));
        // A list that clients of the test suite use.
        let list = "ECDH+AESGCM:DH+AESGCM:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:RSA+AESGCM:RSA+AES:!aNULL:!MD5:!DSS";
        assert_eq!(names(list).unwrap().len(), 4);
        assert_eq!(names("blah-blah"), None);
        assert_eq!(names("ALL:!ALL"), None);
    }

    #[test]
    fn protocol_lists() {
        assert_eq!(parse_protocols("TLSv1.2, TLSv1.3").unwrap().len(), 2);
        assert_eq!(parse_protocols("TLSv1.1 TLSv1.2").unwrap(), [&rustls::version::TLS12]);
        assert_eq!(parse_protocols("TLSv1"), None);
        assert_eq!(parse_protocols(""), None);
        assert_eq!(parse_protocols("TLSv1.4"), None);
    }
}
