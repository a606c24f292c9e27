//! `sslProfile`: TLS settings that listeners and connectors name.

use super::EntityKind;
use super::needs::{FileKind, Needs};
use super::refusal::Refusal;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::objects::Object;
use crate::runtime::{Boot, Runtime};
use crate::schema::attribute::{number, path, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::files;
use adaptors::tls::secret::{SecretKind, os_text, resolve};
use adaptors::tls::{TlsProfile, TlsUpdate, UidFormat};
use router_engine::log::{Level, LogModule};
use std::collections::HashMap;
use std::sync::Arc;
use std::{fs, io};

pub(super) static DEF: EntityDef = EntityDef {
    name: "sslProfile",
    referential: true,
    operations: &["CREATE", "UPDATE", "DELETE"],
    identity: Identity::Attribute("name"),
    origin: Origin::Configured { rank: 4 },
    description: "TLS settings that listeners and connectors name.",
    attributes: &[
        text("ciphers", "Ciphers to allow, as an OpenSSL list.").create().update(),
        text("protocols", "TLS versions to allow, separated by blanks.").create().update(),
        path("caCertFile", "PEM file of the authorities to trust.").create().update(),
        path("certFile", "PEM file of the own certificate and its chain.").create().update(),
        path("privateKeyFile", "PEM file of the private key.").create().update(),
        text(
            "password",
            "What unlocks the private key: the text itself, or env:, file:, pass: or literal: and where it is.",
        )
        .create()
        .update(),
        text("uidFormat", "Which fields of a peer's certificate make its user id.").create(),
        text("uidNameMappingFile", "JSON file that maps user ids to names.").create(),
        number("ordinal", "The generation of the credentials; raised when they are renewed.").create().update(),
        number("oldestValidOrdinal", "Connections made with an older generation are closed.").create().update(),
    ],
    ..EntityDef::CONFIGURATION
};

/// The attributes that name files with credentials.
const FILES: [&str; 3] = ["caCertFile", "certFile", "privateKeyFile"];

/// A profile as configured, by its name. Files and password are read when a listener or connector uses it.
struct Profile(Attributes);

impl Object for Profile {}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn needs(&self, _: &Attributes) -> Result<Needs, RouterError> {
        use FileKind::{Certificates, Readable};
        let files = &[("caCertFile", Certificates), ("certFile", Certificates), ("privateKeyFile", Readable)];
        Ok(Needs { files, ..Needs::default() })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let name = entity.name();
        // Only the password is looked at now: files are read by whoever uses the profile. But a router does not start
        // with a configuration file that names what cannot be read.
        read_for(&entity.attributes, runtime.boot == Boot::First).inspect_err(|error| {
            router_engine::log!(LogModule::Agent, Level::Error, "Unable to create sslProfile '{name}': {error}");
        })?;
        router_engine::log!(LogModule::Agent, Level::Info, "Created sslProfile {name}");
        runtime.objects.insert(name, Profile(entity.attributes.clone()));
        Ok(())
    }

    /// New values are loaded for all that use the profile before the first of these is switched to them.
    fn update(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let (name, a) = (entity.name(), &entity.attributes);
        let is_used = runtime.objects.tls_users(name).next().is_some();
        let profile = read_for(a, is_used).inspect_err(|error| {
            router_engine::log!(LogModule::Agent, Level::Error, "Unable to update sslProfile '{name}': {error}");
        })?;
        let updates = prepare(runtime, &profile, a).inspect_err(|error| {
            router_engine::log!(LogModule::Agent, Level::Error, "Failed to update sslProfile '{name}': {error}");
        })?;
        updates.into_iter().for_each(TlsUpdate::apply);
        router_engine::log!(LogModule::Agent, Level::Info, "Updated sslProfile {name}");
        runtime.objects.insert(name, Profile(a.clone()));
        Ok(())
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.objects.remove::<Profile>(entity.name());
        router_engine::log!(LogModule::Agent, Level::Info, "Deleted sslProfile {}", entity.name());
        Ok(())
    }
}

/// The profile that a listener or connector names, read anew.
pub(super) fn used(runtime: &Runtime, user: &Attributes) -> Result<Option<TlsProfile>, Refusal> {
    let Some(name) = user.text("sslProfile") else { return Ok(None) };
    match runtime.objects.get::<Profile>(name) {
        Some(profile) => Ok(Some(read(&profile.0)?)),
        None => Err(Refusal::NoProfile(RouterError::not_found(format!("sslProfile '{name}' not found")))),
    }
}

/// The files of the profile that a listener or connector names, each with the attribute that names it.
pub(crate) fn files(runtime: &Runtime, user: &Attributes) -> Vec<(&'static str, String)> {
    let profile = user.text("sslProfile").and_then(|name| runtime.objects.get::<Profile>(name));
    let named = |name| Some((name, profile?.0.owned(name)?));
    FILES.into_iter().filter_map(named).collect()
}

/// The values of a profile that somebody uses.
///
/// # Errors
/// When they make no sense, or the password or the file with names for user ids cannot be read.
pub(crate) fn read(a: &Attributes) -> Result<TlsProfile, RouterError> {
    read_for(a, true)
}

/// The values of a profile. The file with names for user ids is only read for one that somebody uses.
fn read_for(a: &Attributes, is_used: bool) -> Result<TlsProfile, RouterError> {
    let [ordinal, oldest_valid_ordinal] = ordinals(a)?;
    let display_names = if is_used { display_names(a)? } else { HashMap::new() };
    let password = a.text("password").map(|p| resolve(p, SecretKind::Profile)).transpose();
    Ok(TlsProfile {
        name: a.string("name"),
        ca_cert_file: a.owned("caCertFile"),
        cert_file: a.owned("certFile"),
        private_key_file: a.owned("privateKeyFile"),
        uid_format: uid_format(a),
        password: password.map_err(|e| RouterError::not_found(e.to_string()))?,
        ciphers: a.owned("ciphers"),
        protocols: a.owned("protocols"),
        display_names: Arc::new(display_names),
        ordinal,
        oldest_valid_ordinal,
    })
}

/// The generation of the credentials, and the oldest that connections may use.
fn ordinals(a: &Attributes) -> Result<[u64; 2], RouterError> {
    let name = a.text("name").unwrap_or_default();
    let refuse = |text| RouterError::configuration(format!("{text} (sslProfile '{name}')")).of_attributes();
    let ordinals = ["ordinal", "oldestValidOrdinal"].map(|key| a.number(key).unwrap_or(0));
    match ordinals.map(u64::try_from) {
        [Ok(current), Ok(oldest)] if current >= oldest => Ok([current, oldest]),
        [Ok(_), Ok(_)] => Err(refuse("ordinal must be >= oldestValidOrdinal")),
        _ => Err(refuse("Negative ordinal field values are invalid")),
    }
}

fn uid_format(a: &Attributes) -> Option<UidFormat> {
    let format = a.text("uidFormat")?;
    let parsed = UidFormat::parse(format);
    if parsed.is_none() {
        let text = format!("sslProfile '{}': {format}", a.text("name").unwrap_or_default());
        router_engine::log!(LogModule::Agent, Level::Error, "Invalid format for uidFormat field in {text}");
    }
    parsed
}

fn display_names(a: &Attributes) -> Result<HashMap<String, String>, RouterError> {
    let Some(file) = a.text("uidNameMappingFile") else { return Ok(HashMap::new()) };
    let broken = |text: String| RouterError::configuration(format!("Cannot read uidNameMappingFile '{file}': {text}"));
    let octets = files::read(file).map_err(|e| broken(e.to_string()))?;
    serde_json::from_slice(&octets).map_err(|e| broken(e.to_string()))
}

/// Loads new values for everything that uses the profile.
fn prepare(runtime: &Runtime, profile: &TlsProfile, new: &Attributes) -> Result<Vec<TlsUpdate>, RouterError> {
    let updates = runtime.objects.tls_users(&profile.name).map(|user| user.prepare_tls(profile));
    let updates = updates.collect::<Result<_, _>>().map_err(|e| RouterError::configuration(e.to_string()))?;
    // Files that nobody uses yet are not loaded, but they have to be there.
    check_files(new, runtime.objects.get::<Profile>(&profile.name).map(|old| &old.0))?;
    Ok(updates)
}

/// Whether the files that a profile names anew can be read.
fn check_files(new: &Attributes, old: Option<&Attributes>) -> Result<(), RouterError> {
    for name in FILES {
        let known = old.and_then(|old| old.text(name));
        if let Some(path) = new.text(name).filter(|new| known != Some(new))
            && let Err(error) = readable(path)
        {
            return Err(RouterError::configuration(format!("Cannot read {name} '{path}': {}", os_text(&error))));
        }
    }
    Ok(())
}

fn readable(path: &str) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        fs::read_dir(path).map(drop)
    } else if found.is_file() {
        fs::File::open(path).map(drop)
    } else {
        Err(io::Error::other("Not a file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType;
    use crate::entity::testing::completed;

    #[test]
    fn generations_do_not_go_backwards() {
        let read = |ordinal: i64, oldest: i64| {
            let given = [("name", "p".into()), ("ordinal", ordinal.into()), ("oldestValidOrdinal", oldest.into())];
            ordinals(&completed(EntityType::SslProfile, &given)).map_err(|error| (error.invalid, error.to_string()))
        };
        let negative = "Configuration: Negative ordinal field values are invalid (sslProfile 'p')";
        let backwards = "Configuration: ordinal must be >= oldestValidOrdinal (sslProfile 'p')";
        for (ordinal, oldest, wanted) in [
            (0, 0, Ok([0, 0])),
            (2, 1, Ok([2, 1])),
            (-1, 0, Err((true, negative.to_owned()))),
            (0, -1, Err((true, negative.to_owned()))),
            (1, 2, Err((true, backwards.to_owned()))),
        ] {
            assert_eq!(read(ordinal, oldest), wanted, "{ordinal} {oldest}");
        }
    }

    #[test]
    fn the_file_with_names_is_read_for_profiles_in_use_only() {
        let a = completed(EntityType::SslProfile, &[("uidNameMappingFile", "/no/such/file".into())]);
        assert!(read_for(&a, false).is_ok());
        let error = read(&a).expect_err("no file").to_string();
        assert!(error.starts_with("Configuration: Cannot read uidNameMappingFile '/no/such/file': "), "{error}");
    }

    #[test]
    fn a_password_that_is_elsewhere_has_to_be_there() {
        let a = completed(EntityType::SslProfile, &[("password", "env:NO_SUCH_VARIABLE_HERE".into())]);
        let error = read_for(&a, false).expect_err("no variable").to_string();
        assert!(error.starts_with("Not found: "), "{error}");
    }

    #[test]
    fn files_have_to_be_there_once_they_are_named_anew() {
        let a = |file: &str| completed(EntityType::SslProfile, &[("certFile", file.into())]);
        let missing = a("/no/such/file");
        assert_eq!(check_files(&missing, Some(&missing)), Ok(()));
        assert_eq!(check_files(&a("/proc/self/status"), Some(&missing)), Ok(()));
        for old in [None, Some(a("/proc/self/status"))] {
            let error = check_files(&missing, old.as_ref()).expect_err("no file").to_string();
            assert!(error.starts_with("Configuration: Cannot read certFile '/no/such/file': "), "{error}");
        }
    }
}
