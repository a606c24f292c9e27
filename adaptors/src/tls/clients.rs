//! Clients that may use a service, by the names in their certificates.

use super::certificate::Certificate;
use super::identity::distinguished_name;
use rustls::pki_types::CertificateDer;
use std::fmt;
use x509_parser::extensions::GeneralName;

/// Names of clients; one has to be in a client's certificate: its subject as RFC 2253 writes it, a common name of that, or an
/// alternative name for a host, a mailbox or a URI.
#[derive(Clone, PartialEq, Eq)]
pub struct AllowedClients(Vec<String>);

impl fmt::Debug for AllowedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

// === impl AllowedClients ===

impl AllowedClients {
    /// Names with semicolons between them; `\;` is part of a name, as in a subject. None when there are none.
    #[must_use]
    pub fn parse(list: &str) -> Option<Self> {
        let (mut names, mut name, mut escaped) = (Vec::new(), String::new(), false);
        for character in list.chars() {
            if character == ';' && !escaped {
                names.push(std::mem::take(&mut name));
            } else {
                name.push(character);
            }
            escaped = character == '\\' && !escaped;
        }
        names.push(name);
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        (!names.is_empty()).then_some(Self(names))
    }

    /// Whether a client with that certificate may use the service.
    ///
    /// # Errors
    /// What the client is called.
    pub fn check(&self, certificate: Option<&CertificateDer<'_>>) -> Result<(), String> {
        let Some(certificate) = certificate else { return Err("a client without a certificate".to_owned()) };
        let Ok(certificate) = Certificate::parse(certificate) else {
            return Err("a client of no known name".to_owned());
        };
        let subject = distinguished_name(certificate.subject_name());
        let is_allowed = self.has(&subject)
            || certificate.common_names().any(|name| self.has(&name))
            || certificate.extensions.alternative_names.iter().any(|name| match name {
                GeneralName::DNSName(host) => self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)),
                GeneralName::RFC822Name(name) | GeneralName::URI(name) => self.has(name),
                _ => false,
            });
        if is_allowed { Ok(()) } else { Err(format!("the client {subject}")) }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|allowed| allowed == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    fn certificate() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["client.example.com".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "A; B");
        params.distinguished_name.push(DnType::CommonName, "client");
        params.subject_alt_names.push(SanType::URI("spiffe://example.com/client".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("client@example.com".try_into().unwrap()));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn clients_go_by_any_of_their_names() {
        let certificate = certificate();
        for (list, allowed) in [
            ("client", true),
            ("other; client ;", true),
            ("CLIENT", false),
            ("Client.Example.com", true),
            ("*.example.com", false),
            ("spiffe://example.com/client", true),
            ("spiffe://example.com", false),
            ("client@example.com", true),
            ("CN=client,O=A\\; B", true),
            ("O=A\\; B", false),
            ("other", false),
        ] {
            let checked = AllowedClients::parse(list).expect("names").check(Some(&certificate));
            assert_eq!(checked.is_ok(), allowed, "{list}");
        }
        let refused = AllowedClients::parse("x").expect("names").check(Some(&certificate));
        assert_eq!(refused, Err("the client CN=client,O=A\\; B".to_owned()));
    }

    #[test]
    fn who_shows_no_certificate_is_nobody() {
        let names = AllowedClients::parse("client").expect("names");
        assert!(names.check(None).is_err());
        assert!(names.check(Some(&CertificateDer::from(vec![0x30, 0]))).is_err());
        assert_eq!(AllowedClients::parse(" ; ;"), None);
    }
}
