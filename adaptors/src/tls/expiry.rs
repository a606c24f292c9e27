//! When the certificates in use end: known from when they were loaded, for as long as somebody uses them.

use super::certificate::Certificate;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Of everybody in this process who presents a certificate.
static USED: Mutex<Vec<Weak<Expiry>>> = Mutex::new(Vec::new());

/// When the certificate ends that a user of a profile presents.
#[derive(Debug)]
pub(super) struct Expiry {
    profile: String,
    /// Seconds since 1970.
    not_after: i64,
}

/// The profiles whose certificates are in use, and when each ends, in seconds since 1970. Of several certificates of a
/// profile it is the one that was loaded last: connections may live on that were made with those before.
#[must_use]
pub fn certificate_expiries() -> Vec<(String, i64)> {
    let used: Vec<_> = USED.lock().iter().filter_map(Weak::upgrade).collect();
    let last: BTreeMap<_, _> = used.iter().map(|used| (used.profile.clone(), used.not_after)).collect();
    last.into_iter().collect()
}

// === impl Expiry ===

impl Expiry {
    /// Of a certificate that was loaded for a user of that profile.
    pub(super) fn note(profile: &str, own: &CertifiedKey) -> Option<Arc<Self>> {
        let (_, not_after, _) = Certificate::parse(own.cert.first()?).ok()?.validity();
        let expiry = Arc::new(Self { profile: profile.to_owned(), not_after });
        let mut used = USED.lock();
        // Now and then those that are gone make room.
        if used.len() == used.capacity() {
            used.retain(|known| known.strong_count() > 0);
        }
        used.push(Arc::downgrade(&expiry));
        Some(expiry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Consumer, ServerOptions, TlsProfile, TlsServer};
    use super::certificate_expiries;
    use std::fs;

    /// Files with a certificate that ends at the beginning of that year.
    fn profile(folder: &std::path::Path, year: i32) -> TlsProfile {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let path = |end: &str| folder.join(format!("{year}.{end}")).display().to_string();
        let (cert_file, private_key_file) = (path("crt"), path("key"));
        fs::write(&cert_file, certificate.pem()).expect("written");
        fs::write(&private_key_file, key.serialize_pem()).expect("written");
        TlsProfile {
            name: "expiring".into(),
            cert_file: Some(cert_file),
            private_key_file: Some(private_key_file),
            ..TlsProfile::default()
        }
    }

    #[test]
    fn of_several_certificates_of_a_profile_the_one_that_was_loaded_last_counts() {
        let folder = std::env::temp_dir().join(format!("expiry-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let load = |year| {
            TlsServer::load(&profile(&folder, year), Consumer::Tcp, &ServerOptions::default()).expect("a profile")
        };
        let told = || certificate_expiries().into_iter().find(|(name, _)| name == "expiring").map(|(_, end)| end);
        assert_eq!(told(), None);
        let [first, second] = [2_208_988_800, 2_524_608_000];
        let old = load(2040);
        assert_eq!(told(), Some(first));
        let new = load(2050);
        assert_eq!(told(), Some(second), "a connection may have the old one still");
        let clone = new.clone();
        drop(new);
        assert_eq!(told(), Some(second), "somebody has it still");
        drop(clone);
        assert_eq!(told(), Some(first));
        drop(old);
        assert_eq!(told(), None);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
