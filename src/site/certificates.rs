//! Credentials in files: made, renewed, or taken from where users have put them.
//!
//! What is made here is noted, with what it was made for, in `internal/certificates.json`, before it is written: however
//! the process ends, what it has made is known as such. Files in `runtime` that are not noted there are somebody else's,
//! and never overwritten by what is made.

use super::home::{self, Home};
use adaptors::tls::{ClientOptions, Consumer, ServerOptions, TlsClient, TlsProfile, TlsServer, inspect};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Map, Value, json};
use site::{Certificate, Credential, Issuer, Key, Origin, Plan};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// How long certificates are good for: as long as Skupper's. Files for other sites are carried by hand.
const LIFE: Duration = Duration::days(5 * 365);

/// The same of authorities.
const ISSUER_LIFE: Duration = Duration::days(10 * 365);

/// How long before their end they are made anew.
const RENEWAL: Duration = Duration::days(180);

const NOTES: &str = "internal/certificates.json";
const CANDIDATE: &str = "internal/candidate";

const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What became of the credentials of a plan.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Folders in `runtime/certs` that are of no use, and why.
    pub(super) failed: BTreeMap<String, String>,
    /// Resources that asked for them.
    pub(super) faults: BTreeMap<Key, String>,
    /// Resources whose credentials are those of before, and why.
    pub(super) stale: BTreeMap<Key, String>,
    /// When certificates end, by their folders.
    pub(super) expirations: BTreeMap<String, String>,
}

/// Makes what a plan asks for.
pub(super) struct Maker<'a> {
    home: &'a Home,
    now: OffsetDateTime,
    /// By folder: the certificate that was made, and what for.
    notes: Map<String, Value>,
}

/// An authority that can sign.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

/// The files of a folder.
type Files = BTreeMap<&'static str, Vec<u8>>;

// === impl Maker ===

impl<'a> Maker<'a> {
    pub(super) fn new(home: &'a Home, now: OffsetDateTime) -> Self {
        let notes = match fs::read_to_string(home.path(NOTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
            read => read.and_then(|text| serde_json::from_str(&text).map_err(io::Error::from)),
        };
        let notes = notes.unwrap_or_else(|error| {
            let text = "certificates that were made before are taken for somebody else's, and not renewed";
            super::complain(&format!("{NOTES}: {error}: {text}"));
            Map::new()
        });
        Self { home, now, notes }
    }

    /// Makes and takes everything.
    pub(super) fn make(mut self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        let mut authorities = BTreeMap::new();
        for (name, issuer) in &plan.issuers {
            match self.authority(name, issuer) {
                Ok(authority) => drop(authorities.insert(name.as_str(), authority)),
                Err(error) => {
                    let text = format!("the issuer {name}: {error}");
                    outcome.stale.extend(issuer.owner.clone().map(|owner| (owner, text)));
                }
            }
            outcome.note_end(name, &self.home.path("runtime/issuers").join(name));
        }
        for (name, credential) in &plan.credentials {
            if let Err(error) = self.credential(name, credential, &authorities) {
                let text = format!("the credentials {name}: {error}");
                let folder = self.home.path("runtime/certs").join(name);
                let needed: &[&str] = if credential.ca_only { &[CA] } else { &[CERTIFICATE, KEY] };
                // Half of an edit must not end services.
                let is_stale = needed.iter().all(|file| folder.join(file).is_file());
                let told = if is_stale { &mut outcome.stale } else { &mut outcome.faults };
                for owner in &credential.owners {
                    // That of its issuer says more.
                    told.entry(owner.clone()).or_insert_with(|| text.clone());
                }
                if !is_stale {
                    outcome.failed.insert(name.clone(), text);
                }
            }
            outcome.note_end(name, &self.home.path("runtime/certs").join(name));
        }
        outcome
    }

    fn note(&self) -> io::Result<()> {
        let notes = serde_json::to_vec_pretty(&self.notes).unwrap_or_default();
        home::renew(&self.home.path(NOTES), &notes).map(drop).map_err(|error| at(NOTES, &error))
    }

    fn authority(&mut self, name: &str, issuer: &Issuer) -> io::Result<Authority> {
        let folder = self.home.path("runtime/issuers").join(name);
        match &issuer.origin {
            Origin::Made(made) => self.own_authority(&format!("issuers/{name}"), &folder, made)?,
            origin => self.take(&format!("issuers/{name}"), &folder, origin, &[CERTIFICATE, KEY])?,
        }
        let text = |file: &str| fs::read_to_string(folder.join(file)).map_err(|error| at(file, &error));
        let (pem, key) = (text(CERTIFICATE)?, text(KEY)?);
        let key =
            KeyPair::from_pem(&key).map_err(|_| io::Error::other("tls.key holds no private key that can sign"))?;
        let issuer = rcgen::Issuer::from_ca_cert_pem(&pem, key).map_err(other)?;
        Ok(Authority { pem, issuer })
    }

    /// One that signs itself. Its key stays when it is renewed, so that what it has signed stays good.
    fn own_authority(&mut self, label: &str, folder: &Path, made: &Certificate) -> io::Result<()> {
        let request = json!({ "subject": made.subject });
        if self.is_good(label, folder, &request) {
            return Ok(());
        }
        let key = match fs::read_to_string(folder.join(KEY)) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => KeyPair::generate().map_err(other)?,
            Err(error) => return Err(at(KEY, &error)),
        };
        let mut params = self.params(&made.subject, &[], ISSUER_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(other)?.pem();
        let files = Files::from([
            (CA, certificate.clone().into()),
            (CERTIFICATE, certificate.into()),
            (KEY, key.serialize_pem().into()),
        ]);
        self.put(label, folder, files, request)
    }

    fn credential(
        &mut self,
        name: &str,
        credential: &Credential,
        authorities: &BTreeMap<&str, Authority>,
    ) -> io::Result<()> {
        let (label, folder) = (format!("certs/{name}"), self.home.path("runtime/certs").join(name));
        let files: &[&'static str] = if credential.ca_only { &[CA] } else { &[CA, CERTIFICATE, KEY] };
        let made = match &credential.origin {
            Origin::Made(made) => made,
            origin => return self.take(&label, &folder, origin, files),
        };
        let ca = made.ca.as_deref().unwrap_or_default();
        let authority = authorities.get(ca).ok_or_else(|| io::Error::other(format!("there is no issuer {ca}")))?;
        if credential.ca_only {
            let files = Files::from([(CA, authority.pem.clone().into())]);
            return self.put(&label, &folder, files, json!({ "ca": authority.pem }));
        }
        let Certificate { subject, hosts, server, client, .. } = made;
        let request =
            json!({"ca": authority.pem, "subject": subject, "hosts": hosts, "server": server, "client": client});
        if self.is_good(&label, &folder, &request) {
            return Ok(());
        }
        let mut params = self.params(subject, hosts, LIFE)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        if *server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if *client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(other)?;
        let certificate = params.signed_by(&key, &authority.issuer).map_err(other)?;
        let files = Files::from([
            (CA, authority.pem.clone().into()),
            (CERTIFICATE, certificate.pem().into()),
            (KEY, key.serialize_pem().into()),
        ]);
        self.put(&label, &folder, files, request)
    }

    fn params(&self, subject: &str, hosts: &[String], life: Duration) -> io::Result<CertificateParams> {
        let mut params = CertificateParams::new(hosts.to_vec()).map_err(other)?;
        // Routers that use Proton look for addresses among the names only.
        for address in hosts.iter().filter(|host| host.parse::<IpAddr>().is_ok()) {
            params.subject_alt_names.push(SanType::DnsName(address.as_str().try_into().map_err(other)?));
        }
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject);
        // Clocks of other hosts may be late.
        params.not_before = self.now - Duration::hours(1);
        params.not_after = self.now + life;
        Ok(params)
    }

    /// Whether what is there was made for that, and lasts; or is somebody else's.
    fn is_good(&self, label: &str, folder: &Path, request: &Value) -> bool {
        let Ok(found) = fs::read_to_string(folder.join(CERTIFICATE)) else { return false };
        let has_key = folder.join(KEY).is_file();
        match self.notes.get(label) {
            Some(note) if note["certificate"] == found.as_str() => {
                has_key && note["request"] == *request && self.lasts(folder)
            }
            // What was to replace it was noted, but not written.
            Some(note) if note["former"] == found.as_str() => false,
            _ => has_key,
        }
    }

    fn lasts(&self, folder: &Path) -> bool {
        let end = inspect(&folder.join(CERTIFICATE)).ok().and_then(|chain| Some(chain.first()?.not_after));
        end.is_some_and(|end| end - RENEWAL.whole_seconds() > self.now.unix_timestamp())
    }

    /// Writes files, the key last: whoever reads between two has the old ones or none that fit.
    fn put(&mut self, label: &str, folder: &Path, files: Files, request: Value) -> io::Result<()> {
        home::make_folder(folder)?;
        // A certificate without its key is made anew at the next start; with another one it would look like a user's.
        if files.get(KEY).is_some_and(|key| fs::read(folder.join(KEY)).is_ok_and(|old| old != *key)) {
            fs::remove_file(folder.join(KEY))?;
        }
        let certificate = files.get(CERTIFICATE).map(|pem| String::from_utf8_lossy(pem).into_owned());
        let former = fs::read_to_string(folder.join(CERTIFICATE)).ok().filter(|_| certificate.is_some());
        let note = json!({"certificate": certificate, "former": former, "request": request});
        self.notes.insert(label.to_owned(), note);
        self.note()?;
        for (name, octets) in &files {
            home::renew(&folder.join(name), octets)?;
        }
        Ok(())
    }

    /// Takes what a user has brought.
    fn take(&mut self, label: &str, folder: &Path, origin: &Origin, files: &[&'static str]) -> io::Result<()> {
        let below = if label.starts_with("issuers/") { "input/issuers" } else { "input/certs" };
        let mut taken = Files::new();
        for name in files {
            let octets = match origin {
                Origin::Brought(brought) => {
                    match home::read_credential(&self.home.path(below).join(brought).join(name)) {
                        Ok(octets) => Some(octets),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                        Err(error) => return Err(at(name, &error)),
                    }
                }
                Origin::Secret(secret) => secret.get(*name).cloned(),
                Origin::Made(_) => None,
            };
            taken.extend(octets.map(|octets| (*name, octets)));
        }
        if files.contains(&KEY) {
            for name in [CERTIFICATE, KEY] {
                // One of a pair alone is of no use, and may be the first of two that are on their way.
                taken.get(name).ok_or_else(|| io::Error::other(format!("there is no {name}")))?;
            }
        }
        let is_new = taken.iter().any(|(name, octets)| !fs::read(folder.join(name)).is_ok_and(|old| old == *octets));
        if is_new {
            self.try_out(&taken)?;
        }
        self.put(label, folder, taken, Value::Null)
    }

    /// Whether files are fit to be credentials, before they replace others: they may have been brought by half.
    fn try_out(&self, files: &Files) -> io::Result<()> {
        let folder = self.home.path(CANDIDATE);
        home::make_folder(&folder)?;
        let path = |name: &str| folder.join(name).display().to_string();
        let tried =
            files.iter().try_for_each(|(name, octets)| home::write(&folder.join(name), octets)).and_then(|()| {
                let given = |name: &'static str| files.contains_key(name).then(|| path(name));
                let profile = TlsProfile {
                    ca_cert_file: given(CA),
                    cert_file: given(CERTIFICATE),
                    private_key_file: given(KEY),
                    ..TlsProfile::default()
                };
                fitness(&profile, self.now)
            });
        fs::remove_dir_all(&folder)?;
        tried.map_err(|error| io::Error::other(error.to_string().replace(&path(""), "")))
    }

    /// Removes the folders that were made or taken for what is not there any more. Authorities stay: links that were
    /// handed out depend on them.
    pub(super) fn forget(mut self, plan: &Plan) {
        let is_gone =
            |label: &String| label.strip_prefix("certs/").is_some_and(|name| !plan.credentials.contains_key(name));
        let gone: Vec<String> = self.notes.keys().filter(|label| is_gone(label)).cloned().collect();
        for label in gone {
            let folder = self.home.path("runtime").join(&label);
            for file in [CA, CERTIFICATE, KEY] {
                let _ = fs::remove_file(folder.join(file));
            }
            let _ = fs::remove_dir(folder);
            self.notes.remove(&label);
        }
        // Of a process that was killed while it tried something out.
        let _ = fs::remove_dir_all(self.home.path(CANDIDATE));
        if let Err(error) = self.note() {
            super::complain(&error.to_string());
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn note_end(&mut self, name: &str, folder: &Path) {
        let chain = inspect(&folder.join(CERTIFICATE)).unwrap_or_default();
        let end = chain.first().and_then(|certificate| OffsetDateTime::from_unix_timestamp(certificate.not_after).ok());
        self.expirations.extend(end.map(|end| (name.to_owned(), super::shown_time(end))));
    }
}

/// # Errors
/// What files of credentials are not fit for.
fn fitness(profile: &TlsProfile, now: OffsetDateTime) -> io::Result<()> {
    let loaded = match &profile.cert_file {
        Some(_) => {
            let options = ServerOptions { authenticate_peer: profile.ca_cert_file.is_some(), alpn: Vec::new() };
            TlsServer::load(profile, Consumer::Tcp, &options).map(drop)
        }
        None => TlsClient::load(profile, Consumer::Tcp, &ClientOptions { verify_hostname: false }).map(drop),
    };
    loaded.map_err(io::Error::other)?;
    let chain =
        profile.cert_file.as_ref().map(|file| inspect(Path::new(file))).transpose().map_err(io::Error::other)?;
    match chain.as_ref().and_then(|chain| chain.first()).filter(|own| own.not_after < now.unix_timestamp()) {
        Some(own) => Err(io::Error::other(format!("the certificate of '{}' has expired, at {}", own.subject, own.end))),
        None => Ok(()),
    }
}

/// The files of a folder in `runtime/certs`.
pub(super) fn files(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let read = |name: &&str| Ok(((*name).to_owned(), home::read_credential(&folder.join(name))?));
    [CA, CERTIFICATE, KEY].iter().map(read).collect()
}

fn other(error: rcgen::Error) -> io::Error {
    io::Error::other(error.to_string())
}

fn at(file: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use site::{Folder, Source, Surroundings};
    use std::path::PathBuf;

    const SITE: &str =
        "apiVersion: skupper.io/v2alpha1\nkind: Site\nmetadata: {name: west}\nspec: {linkAccess: default}\n";

    /// A namespace's folder that goes with its test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("site-certificates-{}-{test}", std::process::id()));
            let scratch = Self(folder);
            scratch.home().prepare().expect("folders");
            scratch
        }

        fn home(&self) -> Home {
            Home::find(Some(&self.0), None, "default")
        }

        fn make(&self, hosts: &[&str], days: i64) -> Outcome {
            let mut folder = Folder::default();
            folder.update(vec![Source { file: "a.yaml".to_owned(), text: Ok(SITE.to_owned()) }]);
            let names = hosts.iter().map(|host| (*host).to_owned()).collect();
            let home = self.home();
            let surroundings = Surroundings {
                names,
                certs: home.brought("input/certs"),
                issuers: home.brought("input/issuers").into_keys().collect(),
                ..Surroundings::default()
            };
            let now = OffsetDateTime::now_utc() + Duration::days(days);
            Maker::new(&home, now).make(&Plan::new(&folder, &surroundings))
        }

        fn read(&self, below: &str) -> String {
            fs::read_to_string(self.0.join(below)).expect("readable")
        }

        fn all(&self) -> [String; 4] {
            [
                "issuers/skupper-site-ca/tls.crt",
                "issuers/skupper-site-ca/tls.key",
                "certs/west/tls.crt",
                "certs/west/ca.crt",
            ]
            .map(|file| self.read(&format!("runtime/{file}")))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_made_stays_until_it_is_asked_for_anew_or_ends() {
        let scratch = Scratch::new("renewed");
        let made = scratch.make(&["a"], 0);
        assert!(made.faults.is_empty() && made.expirations.contains_key("west"), "{made:?}");
        let first = scratch.all();
        scratch.make(&["a"], 4 * 365);
        assert_eq!(scratch.all(), first, "it lasts");
        scratch.make(&["a", "b"], 0);
        let second = scratch.all();
        assert_eq!(second[..2], first[..2], "the authority is the same");
        assert_ne!(second[2], first[2], "it is for another name, too");
        scratch.make(&["a", "b"], 5 * 365 - 100);
        let third = scratch.all();
        assert_eq!(third[..2], second[..2]);
        assert_ne!(third[2], second[2], "it would end soon");
        scratch.make(&["a", "b"], 10 * 365 - 100);
        let fourth = scratch.all();
        assert_ne!(fourth[0], third[0]);
        assert_eq!(fourth[1], third[1], "the key of the authority stays");
        assert_eq!(fourth[3], fourth[0]);
    }

    #[test]
    fn what_was_made_is_known_as_such_however_the_making_ended() {
        let scratch = Scratch::new("interrupted");
        let obstacle = |below: &str| scratch.0.join(below);
        for at in
            ["internal/.certificates.json.new", "runtime/certs/west/.tls.crt.new", "runtime/certs/west/.tls.key.new"]
        {
            fs::create_dir_all(obstacle(at)).expect("a folder");
            assert!(!scratch.make(&["a"], 0).failed.is_empty(), "{at} is in the way");
            fs::remove_dir(obstacle(at)).expect("there");
            scratch.make(&["a"], 0);
            let first = scratch.all();
            scratch.make(&[at.split('/').next_back().unwrap_or_default().trim_matches('.')], 0);
            assert_ne!(scratch.all()[2], first[2], "{at}: it is known to be made here, and made anew for another name");
            scratch.make(&["other"], 0);
        }
        // The same of an authority, whose key stays.
        let first = scratch.all();
        let at = "runtime/issuers/skupper-site-ca/.tls.crt.new";
        fs::create_dir_all(obstacle(at)).expect("a folder");
        assert!(!scratch.make(&["a"], 10 * 365 - 100).stale.is_empty());
        fs::remove_dir(obstacle(at)).expect("there");
        scratch.make(&["a"], 10 * 365 - 100);
        assert_ne!(scratch.all()[0], first[0]);
        assert_eq!(scratch.all()[1], first[1]);
    }

    #[test]
    fn an_authority_whose_key_cannot_be_read_is_not_replaced() {
        let scratch = Scratch::new("unreadable");
        scratch.make(&["a"], 0);
        let (first, key) = (scratch.all(), scratch.0.join("runtime/issuers/skupper-site-ca/tls.key"));
        fs::remove_file(&key).expect("there");
        fs::create_dir(&key).expect("a folder");
        let told = format!("{:?}", scratch.make(&["a"], 0).stale);
        assert!(told.contains("tls.key: Is a directory"), "{told}");
        fs::remove_dir(&key).expect("there");
        fs::write(&key, &first[1]).expect("written");
        scratch.make(&["a"], 0);
        assert_eq!(scratch.all(), first);
    }

    #[test]
    fn what_somebody_else_has_put_there_is_not_overwritten() {
        let scratch = Scratch::new("foreign");
        scratch.make(&["a"], 0);
        let foreign = scratch.read("runtime/certs/client-west/tls.crt");
        fs::write(scratch.0.join("runtime/certs/west/tls.crt"), &foreign).expect("written");
        scratch.make(&["b"], 0);
        assert_eq!(scratch.read("runtime/certs/west/tls.crt"), foreign);
        fs::remove_file(scratch.0.join("runtime/certs/west/tls.key")).expect("there");
        scratch.make(&["b"], 0);
        assert_ne!(scratch.read("runtime/certs/west/tls.crt"), foreign, "it is of no use without a key");
    }

    #[test]
    fn what_is_brought_is_taken_and_what_cannot_be_read_is_told() {
        let scratch = Scratch::new("brought");
        scratch.make(&["a"], 0);
        let brought = scratch.0.join("input/issuers/skupper-site-ca");
        fs::create_dir_all(&brought).expect("a folder");
        for file in [CERTIFICATE, KEY] {
            fs::copy(scratch.0.join("runtime/issuers/skupper-local-ca").join(file), brought.join(file))
                .expect("copied");
        }
        let taken = scratch.make(&["a"], 0);
        assert!(taken.failed.is_empty(), "{taken:?}");
        assert_eq!(scratch.read("runtime/certs/west/ca.crt"), scratch.read("input/issuers/skupper-site-ca/tls.crt"));
        fs::write(brought.join(KEY), "nonsense").expect("written");
        let before = scratch.all();
        let stale = scratch.make(&["a", "b"], 0);
        assert!(stale.failed.is_empty() && stale.faults.is_empty(), "{stale:?}");
        let told: Vec<&String> = stale.stale.values().collect();
        assert!(told.len() == 1 && told[0].starts_with("the issuer skupper-site-ca: "), "{told:?}");
        assert_eq!(scratch.all(), before, "what was taken before stays");
        fs::remove_file(scratch.0.join("runtime/certs/west/tls.key")).expect("there");
        let failed = scratch.make(&["a"], 0).failed;
        let texts: Vec<&String> = failed.values().collect();
        assert_eq!(texts, ["the credentials west: there is no issuer skupper-site-ca"]);
    }

    #[test]
    fn what_is_brought_by_half_does_not_replace_what_is_whole() {
        let scratch = Scratch::new("half");
        scratch.make(&["a"], 0);
        let (before, brought) = (scratch.all(), scratch.0.join("input/certs/west"));
        fs::create_dir_all(&brought).expect("a folder");
        let copy = |from: &str, file: &str| {
            fs::copy(scratch.0.join("runtime/certs").join(from).join(file), brought.join(file)).expect("copied");
        };
        [CA, CERTIFICATE].iter().for_each(|file| copy("client-west", file));
        copy("skupper-local-client", KEY);
        let told = |days| scratch.make(&["a"], days).stale.into_values().collect::<Vec<_>>().join("; ");
        let mismatch = told(0);
        assert!(mismatch.contains("tls.key") && mismatch.contains("does not belong to the certificate"), "{mismatch}");
        assert!(!mismatch.contains("candidate"), "{mismatch}");
        fs::write(brought.join(CERTIFICATE), "nonsense").expect("written");
        assert!(told(0).contains("the credentials west: "));
        assert_eq!(scratch.all(), before);
        [CERTIFICATE, KEY].iter().for_each(|file| copy("client-west", file));
        assert!(told(6 * 365).contains("has expired"), "{}", told(6 * 365));
        assert_eq!(told(0), "");
        assert_eq!(scratch.read("runtime/certs/west/tls.crt"), scratch.read("input/certs/west/tls.crt"));
        assert!(!scratch.0.join(CANDIDATE).exists(), "no key is left behind");
    }
}
