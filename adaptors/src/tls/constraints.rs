//! Name constraints (RFC 5280 4.2.1.10): the names that an authority may issue certificates for.
//!
//! Common names count as DNS names here whether or not there are alternative names, because they do so when a
//! host is compared with a certificate.

use super::certificate::{Certificate, NameConstraints, canonical};
use super::identity::{distinguished_name, oid_text};
use super::refusal::{Reason, Refusal, clip};
use super::strings;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;

/// Comparisons of a name with a constraint for one peer: far more than honest ones need.
pub(super) const MAX_COMPARISONS: usize = 250_000;

/// Holds the names of every certificate of a chain against the constraints of all above it, and the host that the
/// first has to name. So many comparisons are left.
pub(super) fn check(chain: &[&Certificate<'_>], host: Option<&str>, comparisons: &mut usize) -> Result<(), Refusal> {
    for (depth, certificate) in chain.iter().enumerate() {
        // An authority that issued itself a new certificate need not be within its own constraints.
        if depth > 0 && depth + 1 < chain.len() && certificate.is_self_issued() {
            continue;
        }
        for issuer in &chain[depth + 1..] {
            if let Some(constraints) = &issuer.extensions.name_constraints {
                let mut check = |name: &GeneralName<'_>| check_name(name, constraints, comparisons);
                let checked = check_names(certificate, depth == 0, &mut check);
                let checked =
                    checked.and_then(|()| host.filter(|_| depth == 0).map_or(Ok(()), |h| check_host(h, check)));
                checked.map_err(|reason| certificate.refuse(reason))?;
            }
        }
    }
    Ok(())
}

type Checked = Result<(), Reason>;

fn check_names(
    certificate: &Certificate<'_>,
    leaf: bool,
    mut check: impl FnMut(&GeneralName<'_>) -> Checked,
) -> Checked {
    for name in &certificate.extensions.alternative_names {
        check(name)?;
    }
    let subject = certificate.subject_name();
    if subject.iter_rdn().next().is_some() {
        check(&GeneralName::DirectoryName(subject.clone()))?;
    }
    for email in subject.iter_email() {
        // What is no text is no mailbox either.
        check(&GeneralName::RFC822Name(&strings::text(email.attr_value()).unwrap_or_default()))?;
    }
    for name in certificate.common_names().filter(|name| leaf && is_dns_name(name)) {
        check(&GeneralName::DNSName(&name))?;
    }
    Ok(())
}

/// The host may fit a pattern that reaches further than it may, or a common name that does not look like a host's.
fn check_host(host: &str, mut check: impl FnMut(&GeneralName<'_>) -> Checked) -> Checked {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => check(&GeneralName::IPAddress(&ip.octets())),
        Ok(IpAddr::V6(ip)) => check(&GeneralName::IPAddress(&ip.octets())),
        Err(_) => check(&GeneralName::DNSName(host)),
    }
}

/// Whether a common name could be meant as the name of a host.
fn is_dns_name(name: &str) -> bool {
    name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'*'))
}

fn check_name(name: &GeneralName<'_>, constraints: &NameConstraints<'_>, comparisons: &mut usize) -> Checked {
    let cost = constraints.permitted.len() + constraints.excluded.len();
    *comparisons = comparisons.checked_sub(cost).ok_or(Reason::TooMuchWork)?;
    let violation = |what: &str| Err(Reason::NameConstraint(format!("{what}: {}", clip(&shown(name), 100))));
    let directory = if let GeneralName::DirectoryName(name) = name { canonical(name) } else { Vec::new() };
    let is_within = |base: &GeneralName<'_>| match (name, base) {
        (GeneralName::DirectoryName(_), GeneralName::DirectoryName(base)) => {
            Some(directory.starts_with(&canonical(base)))
        }
        _ => is_within(name, base),
    };
    let mut permitted = constraints.permitted.iter().filter(|base| same_form(name, base)).peekable();
    let is_constrained = permitted.peek().is_some();
    let mut is_permitted = false;
    for base in permitted {
        match is_within(base) {
            Some(within) => is_permitted |= within,
            None => return violation("unsupported constraint"),
        }
    }
    if is_constrained && !is_permitted {
        return violation("permitted subtree violation");
    }
    for base in constraints.excluded.iter().filter(|base| same_form(name, base)) {
        match is_within(base) {
            Some(false) if !covers(name, base) => {}
            Some(_) => return violation("excluded subtree violation"),
            None => return violation("unsupported constraint"),
        }
    }
    Ok(())
}

fn same_form(a: &GeneralName<'_>, b: &GeneralName<'_>) -> bool {
    let form = |name: &GeneralName<'_>| match name {
        GeneralName::OtherName(..) => 0,
        GeneralName::RFC822Name(_) => 1,
        GeneralName::DNSName(_) => 2,
        GeneralName::X400Address(_) => 3,
        GeneralName::DirectoryName(_) => 4,
        GeneralName::EDIPartyName(_) => 5,
        GeneralName::URI(_) => 6,
        GeneralName::IPAddress(_) => 7,
        GeneralName::RegisteredID(_) => 8,
        GeneralName::Invalid(tag, _) => tag.0,
    };
    form(a) == form(b) || is_utf8_mailbox(a) && form(b) == 1
}

/// Whether it is a mailbox in the form for other letters (RFC 8398), which is never within a constraint here.
fn is_utf8_mailbox(name: &GeneralName<'_>) -> bool {
    matches!(name, GeneralName::OtherName(id, _) if oid_text(id) == "1.3.6.1.5.5.7.8.9")
}

/// A name in a message. Forms that nobody has are not spelled out: that can take long.
fn shown(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DirectoryName(name) => distinguished_name(name),
        GeneralName::OtherName(id, _) | GeneralName::RegisteredID(id) => oid_text(id),
        GeneralName::IPAddress(octets) if octets.len() > 16 => "an overlong address".to_owned(),
        GeneralName::Invalid(tag, _) => format!("a damaged name of form {}", tag.0),
        other => other.to_string(),
    }
}

/// Whether a name other than that of a directory is in a subtree of its own form; `None` when that cannot be told.
fn is_within(name: &GeneralName<'_>, base: &GeneralName<'_>) -> Option<bool> {
    Some(match (name, base) {
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => dns_within(name, base),
        (GeneralName::RFC822Name(name), GeneralName::RFC822Name(base)) => email_within(name, base)?,
        (GeneralName::URI(name), GeneralName::URI(base)) => uri_within(name, base)?,
        (GeneralName::IPAddress(name), GeneralName::IPAddress(base)) => ip_within(name, base)?,
        _ => return None,
    })
}

/// Whether a wildcard name stands for names in an excluded subtree.
fn covers(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    match (name, base) {
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => {
            name.strip_prefix('*').is_some_and(|parent| ends_with(base, parent))
        }
        _ => false,
    }
}

fn ends_with(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

fn dns_within(name: &str, base: &str) -> bool {
    let (name, base) = (name.trim_end_matches('.'), base.trim_end_matches('.'));
    if base.is_empty() || name.eq_ignore_ascii_case(base) {
        return true;
    }
    let at_label =
        base.starts_with('.') || name.len() > base.len() && name.as_bytes()[name.len() - base.len() - 1] == b'.';
    at_label && ends_with(name, base)
}

/// A mailbox, all mailboxes of a host, or (with a leading dot) those of all hosts of a domain.
fn email_within(name: &str, base: &str) -> Option<bool> {
    let (local, host) = name.rsplit_once('@')?;
    Some(match base.rsplit_once('@') {
        Some((base_local, base_host)) => {
            (base_local.is_empty() || local == base_local) && host.eq_ignore_ascii_case(base_host)
        }
        None => host_within(host, base),
    })
}

fn uri_within(name: &str, base: &str) -> Option<bool> {
    let (_, rest) = name.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host_within(host, base))
}

fn host_within(host: &str, base: &str) -> bool {
    if base.starts_with('.') { ends_with(host, base) } else { host.eq_ignore_ascii_case(base) }
}

/// A constraint is an address and a mask.
fn ip_within(name: &[u8], base: &[u8]) -> Option<bool> {
    if !matches!(base.len(), 8 | 32) || !matches!(name.len(), 4 | 16) {
        return None;
    }
    let (net, mask) = base.split_at(base.len() / 2);
    Some(name.len() == net.len() && name.iter().zip(net).zip(mask).all(|((a, n), m)| a & m == n & m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_subtrees() {
        for (name, base, expected) in [
            ("a.example.com", "example.com", true),
            ("EXAMPLE.com", "example.com", true),
            ("example.com.", "example.com", true),
            ("badexample.com", "example.com", false),
            ("a.example.com", ".example.com", true),
            ("example.com", ".example.com", false),
            ("example.org", "example.com", false),
            ("anything", "", true),
        ] {
            assert_eq!(dns_within(name, base), expected, "{name} {base}");
        }
    }

    #[test]
    fn other_subtrees() {
        assert_eq!(email_within("a@b.c", "b.c"), Some(true));
        assert_eq!(email_within("a@x.b.c", "b.c"), Some(false));
        assert_eq!(email_within("a@x.b.c", ".b.c"), Some(true));
        assert_eq!(email_within("A@b.c", "a@b.c"), Some(false));
        assert_eq!(email_within("A@b.c", "@B.c"), Some(true));
        assert_eq!(email_within("A@x.b.c", "@b.c"), Some(false));
        assert_eq!(email_within("nobody", "b.c"), None);
        assert_eq!(uri_within("amqps://u@h.b.c:5671/x", ".b.c"), Some(true));
        assert_eq!(uri_within("amqps://h.b.c", "b.c"), Some(false));
        assert_eq!(uri_within("urn:x", "b.c"), None);
        assert_eq!(ip_within(&[10, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]), Some(true));
        assert_eq!(ip_within(&[11, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]), Some(false));
        assert_eq!(ip_within(&[0; 16], &[10, 0, 0, 0, 255, 0, 0, 0]), Some(false));
        assert_eq!(ip_within(&[10, 1, 2], &[10, 0, 0, 0, 255, 0, 0, 0]), None);
    }

    #[test]
    fn wildcards_and_excluded_subtrees() {
        let excluded = |base| NameConstraints { permitted: Vec::new(), excluded: vec![GeneralName::DNSName(base)] };
        let check = |name, base| check_name(&GeneralName::DNSName(name), &excluded(base), &mut 10);
        assert!(check("*.example.com", "secret.example.com").is_err());
        assert!(check("*.example.com", "secret.example.org").is_ok());
        assert_eq!(check_name(&GeneralName::DNSName("a"), &excluded("b"), &mut 0), Err(Reason::TooMuchWork));
    }
}
