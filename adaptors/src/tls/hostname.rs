//! Whether a certificate names a host, by the rules that existing deployments rely on: any alternative DNS
//! name, else any common name of the subject, also beside alternative names.

use super::certificate::Certificate;
use super::refusal::{Reason, clip};
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;

/// Checks that a certificate names the host.
pub(super) fn check(certificate: &Certificate<'_>, host: &str) -> Result<(), Reason> {
    if names_host(certificate, host) {
        return Ok(());
    }
    Err(Reason::Name { host: clip(host, MAX_NAME), offered: offered(certificate) })
}

/// Names of a certificate in a message, and the length of each.
const MAX_NAMES: usize = 10;
const MAX_NAME: usize = 100;

fn names_host(certificate: &Certificate<'_>, host: &str) -> bool {
    let ip = host.parse::<IpAddr>().ok();
    // No pattern stands for addresses.
    let matches = |pattern: &str| (ip.is_none() || !pattern.contains('*')) && name_matches(pattern, host);
    let mut names = certificate.extensions.alternative_names.iter();
    let by_alternative_name = names.any(|name| match name {
        GeneralName::DNSName(pattern) => matches(pattern),
        GeneralName::IPAddress(octets) => ip.is_some_and(|ip| address(octets) == Some(ip)),
        _ => false,
    });
    by_alternative_name || certificate.common_names().any(|pattern| matches(&pattern))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

fn offered(certificate: &Certificate<'_>) -> String {
    let alternative = certificate.extensions.alternative_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(clip(name, MAX_NAME)),
        GeneralName::IPAddress(octets) => address(octets).map(|ip| ip.to_string()),
        _ => None,
    });
    let common = certificate.common_names().map(|name| format!("CN={}", clip(&name, MAX_NAME)));
    let mut names: Vec<String> = alternative.chain(common).take(MAX_NAMES + 1).collect();
    if names.len() > MAX_NAMES {
        names[MAX_NAMES] = "...".to_owned();
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Label by label, ignoring case; a `*` in a label stands for any octets of that label.
fn name_matches(pattern: &str, host: &str) -> bool {
    const MAX_LABEL: usize = 63;
    let (pattern, host) = (pattern.trim_end_matches('.'), host.trim_end_matches('.'));
    let labels = |s: &str| s.split('.').count();
    !host.is_empty()
        && labels(pattern) == labels(host)
        && pattern.split('.').zip(host.split('.')).all(|(p, h)| {
            p.len() <= MAX_LABEL
                && h.len() <= MAX_LABEL
                && match p.split_once('*') {
                    None => p.eq_ignore_ascii_case(h),
                    Some((prefix, suffix)) => {
                        let (p, s, h) = (prefix.as_bytes(), suffix.as_bytes(), h.as_bytes());
                        h.len() >= p.len() + s.len()
                            && h[..p.len()].eq_ignore_ascii_case(p)
                            && h[h.len() - s.len()..].eq_ignore_ascii_case(s)
                    }
                }
        })
}

#[cfg(test)]
mod tests {
    use super::name_matches;

    #[test]
    fn name_patterns() {
        for (pattern, host, expected) in [
            ("localhost", "LocalHost", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("w*1.example.com", "web1.example.com", true),
            ("w*1.example.com", "w.example.com", false),
            ("a.*.com", "a.b.com", true),
            ("example.com", "example.org", false),
            ("", "", false),
        ] {
            assert_eq!(name_matches(pattern, host), expected, "{pattern} {host}");
        }
    }
}
