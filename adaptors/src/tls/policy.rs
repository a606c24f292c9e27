//! The rules for a chain whose signatures are good, as OpenSSL has them: time, authority, path length, usage, names.

use super::certificate::Certificate;
use super::constraints;
use super::refusal::{Reason, Refusal};

/// What a peer does with its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is the server.
    Server,
    /// It is the client.
    Client,
}

/// By what a chain is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) purpose: Purpose,
    /// Whom the peer's own certificate has to name.
    pub(super) host: Option<&'a str>,
}

/// Where a certificate stands in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Leaf,
    /// Presented by the peer, with so many authorities below it that somebody else issued.
    Intermediate(usize),
    /// Trusted, with so many below it.
    Anchor(usize),
}

const MIN_RSA_BITS: usize = 2048;

// === impl Rules ===

impl Rules<'_> {
    /// Judges a chain from the peer's own certificate to a trusted one. Both may be the same. So many comparisons of
    /// names are left.
    pub(super) fn check(&self, chain: &[&Certificate<'_>], comparisons: &mut usize) -> Result<(), Refusal> {
        let mut below = 0;
        for (depth, certificate) in chain.iter().enumerate() {
            let place = match depth {
                0 => Place::Leaf,
                d if d + 1 == chain.len() => Place::Anchor(below),
                _ => Place::Intermediate(below),
            };
            self.check_one(certificate, place).map_err(|reason| certificate.refuse(reason))?;
            below += usize::from(depth > 0 && !certificate.is_self_issued());
        }
        constraints::check(chain, self.host, comparisons)
    }

    fn check_one(&self, certificate: &Certificate<'_>, place: Place) -> Result<(), Reason> {
        if let Some(id) = &certificate.extensions.unknown_critical {
            return Err(Reason::CriticalExtension(id.clone()));
        }
        if let Some(bits) = certificate.rsa_bits().filter(|&bits| bits < MIN_RSA_BITS) {
            return Err(Reason::WeakKey(bits));
        }
        certificate.check_time(self.now)?;
        match place {
            Place::Leaf => self.check_leaf(certificate),
            Place::Intermediate(below) => {
                check_authority(certificate, false)?;
                check_path_length(certificate, below)?;
                self.check_purposes(certificate)
            }
            Place::Anchor(below) => {
                check_authority(certificate, true)?;
                check_path_length(certificate, below)?;
                self.check_purposes(certificate)
            }
        }
    }

    /// Whether the usages of the peer's own certificate fit. An authority may use its certificate itself.
    fn check_leaf(&self, certificate: &Certificate<'_>) -> Result<(), Reason> {
        self.check_purposes(certificate)?;
        let extensions = &certificate.extensions;
        let fits = |allowed: bool, text: &str| {
            let needed = self.purpose.text();
            if allowed { Ok(()) } else { Err(Reason::Purpose { needed, allowed: text.to_owned() }) }
        };
        if let Some(usage) = &extensions.key_usage {
            let signs = usage.digital_signature() || usage.key_agreement();
            let encrypts = self.purpose == Purpose::Server && usage.key_encipherment();
            fits(signs || encrypts, &format!("key usage: {usage}"))?;
        }
        if let Some(kinds) = &extensions.netscape_type {
            let fit = match self.purpose {
                Purpose::Server => kinds.ssl_server(),
                Purpose::Client => kinds.ssl_client(),
            };
            fits(fit, &format!("Netscape certificate type: {kinds}"))?;
        }
        Ok(())
    }

    fn check_purposes(&self, certificate: &Certificate<'_>) -> Result<(), Reason> {
        let Some(purposes) = &certificate.extensions.purposes else { return Ok(()) };
        let fits = match self.purpose {
            Purpose::Server => purposes.server_auth,
            Purpose::Client => purposes.client_auth,
        };
        if fits {
            return Ok(());
        }
        let names = [
            (purposes.any, "anyExtendedKeyUsage"),
            (purposes.server_auth, "serverAuth"),
            (purposes.client_auth, "clientAuth"),
            (purposes.code_signing, "codeSigning"),
            (purposes.email_protection, "emailProtection"),
            (purposes.time_stamping, "timeStamping"),
            (purposes.ocsp_signing, "OCSPSigning"),
            (!purposes.other.is_empty(), "others"),
        ];
        let allowed: Vec<&str> = names.into_iter().filter_map(|(set, name)| set.then_some(name)).collect();
        Err(Reason::Purpose { needed: self.purpose.text(), allowed: allowed.join(", ") })
    }
}

/// Whether a certificate may have issued the one below it. A trusted one may say so in older ways: by its key usage
/// alone, or as a root of version 1, which could not say it at all.
fn check_authority(certificate: &Certificate<'_>, trusted: bool) -> Result<(), Reason> {
    let extensions = &certificate.extensions;
    let may_sign = extensions.key_usage.as_ref().map(|usage| usage.key_cert_sign());
    if may_sign == Some(false) {
        return Err(Reason::NotAuthority("its key usage has no keyCertSign"));
    }
    match extensions.basic_constraints {
        Some(basic) if basic.authority => Ok(()),
        Some(_) => Err(Reason::NotAuthority("its basic constraints have no CA:TRUE")),
        None if trusted && may_sign == Some(true) => Ok(()),
        None if trusted && certificate.is_version_1() && certificate.is_self_issued() => Ok(()),
        None if certificate.is_version_1() => {
            Err(Reason::NotAuthority("X.509 version 1 cannot say that it is a CA; only a trusted root may be so"))
        }
        None => Err(Reason::NotAuthority("it has no basic constraints")),
    }
}

fn check_path_length(certificate: &Certificate<'_>, below: usize) -> Result<(), Reason> {
    match certificate.extensions.basic_constraints.and_then(|basic| basic.path_length) {
        Some(limit) if below > usize::try_from(limit).unwrap_or(usize::MAX) => Err(Reason::PathLength { below, limit }),
        _ => Ok(()),
    }
}

// === impl Purpose ===

impl Purpose {
    const fn text(self) -> &'static str {
        match self {
            Self::Server => "TLS server (serverAuth)",
            Self::Client => "TLS client (clientAuth)",
        }
    }
}
