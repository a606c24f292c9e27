//! The SASL database of users whose names and passwords are files of a folder, as mounted secrets are.

use super::environment::Environment;
use super::source::at;
use adaptors::sasl::SaslDb;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Makes the database that the environment asks for, if it does. What is no user is told.
///
/// # Errors
/// When the folder cannot be read or the database cannot be written.
pub(super) fn create(environment: &Environment, tell: &mut dyn FnMut(&str)) -> io::Result<()> {
    let Some(folder) = environment.get("QDROUTERD_AUTO_CREATE_SASLDB_SOURCE") else { return Ok(()) };
    let path = match environment.get("QDROUTERD_AUTO_CREATE_SASLDB_PATH") {
        Some(path) => PathBuf::from(path),
        None => Path::new(environment.get("QDROUTERD_HOME").unwrap_or("/")).join("etc/skrouterd.sasldb"),
    };
    let realm = environment.get("APPLICATION_NAME").unwrap_or("skrouterd");
    let users = users(Path::new(folder), tell)?;
    SaslDb::create(&path, realm, &users).map_err(|error| at(&path, &error))
}

/// Names and contents of the files; what secrets keep beside them is hidden.
fn users(folder: &Path, tell: &mut dyn FnMut(&str)) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut users = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| at(folder, &error))? {
        let file = entry?.path();
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') || !file.is_file() {
            continue;
        }
        let content = match fs::read(&file) {
            Ok(content) => content,
            Err(error) => {
                tell(&format!("No user {name}: {error}"));
                continue;
            }
        };
        // Passwords end with the line.
        match content.split(|&octet| octet == b'\n').next() {
            None | Some([]) => tell(&format!("No user {name}: the password is empty")),
            Some(password) => users.push((name.to_owned(), password.to_vec())),
        }
    }
    users.sort();
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adaptors::amqp::Authenticator;
    use adaptors::sasl::SaslConfig;
    use router_engine::port::PlainCredentials;

    #[test]
    fn each_file_is_a_user() {
        let folder = std::env::temp_dir().join(format!("launch-users-{}", std::process::id()));
        let source = folder.join("source");
        fs::create_dir_all(source.join("folder")).expect("a folder");
        for (name, text) in [("test", "secret\n"), ("other", "two words"), (".hidden", "x"), ("empty", "\n")] {
            fs::write(source.join(name), text).expect("written");
        }
        let database = folder.join("db").display().to_string();
        let variables = [
            ("QDROUTERD_AUTO_CREATE_SASLDB_SOURCE", source.to_str().expect("text")),
            ("QDROUTERD_AUTO_CREATE_SASLDB_PATH", &database),
            ("APPLICATION_NAME", "realm"),
        ];
        fs::write(folder.join("test.conf"), format!("sasldb_path: {database}\n")).expect("written");
        // The second time in the place of the first.
        let mut told = Vec::new();
        let mut tell = |text: &str| told.push(text.to_owned());
        create(&Environment::of(variables), &mut tell).expect("made");
        create(&Environment::of(variables), &mut tell).expect("made");
        assert_eq!(told, ["No user empty: the password is empty"; 2]);
        assert_eq!(super::users(&source, &mut |_| ()).expect("readable").len(), 2);
        let users = SaslConfig::load(Some(folder.to_str().expect("text")), "test").users();
        let is_known = |user: &str, password: &str| {
            let (username, password) = (user.to_owned(), password.into());
            users.check(&PlainCredentials { authzid: String::new(), username, password })
        };
        assert!(is_known("test@realm", "secret") && is_known("other@realm", "two words"));
        assert!(!is_known("test@realm", "secret\n") && !is_known(".hidden@realm", "x"));
        assert!(!is_known("empty@realm", ""));
        fs::remove_dir_all(folder).expect("there");
    }
}
