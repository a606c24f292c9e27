//! Where secrets come from (spec `security-and-policy.md` section 6).

use crate::files;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::io::{BufRead, BufReader, Read};

/// Octets of a password file's first line that count.
const MAX_LINE: u64 = 199;

/// Which attribute a secret is for; they differ in detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// `password` of an sslProfile or proxyProfile.
    Profile,
    /// `saslPassword` of a connector.
    Sasl,
}

/// The environment variable of an `env:` secret is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Failed to find a password in the environment variable")]
pub struct MissingVariable;

/// Resolves a configured secret.
///
/// # Errors
/// For `env:` with an unset variable, in a profile.
pub fn resolve(configured: &str, kind: SecretKind) -> Result<String, MissingVariable> {
    if let Some(name) = configured.strip_prefix("env:") {
        return match (std::env::var(name.trim_start()), kind) {
            (Ok(value), _) => Ok(value),
            (Err(_), SecretKind::Profile) => Err(MissingVariable),
            (Err(_), SecretKind::Sasl) => {
                log!(LogModule::Error, Level::Error, "Not found: {MissingVariable}");
                Ok(configured.to_owned())
            }
        };
    }
    if let Some(path) = configured.strip_prefix("file:") {
        return Ok(first_line(path).filter(|line| !line.is_empty()).unwrap_or_else(|| configured.to_owned()));
    }
    log!(LogModule::ConnMgr, Level::Warning, "It is unsafe to provide plain text passwords in the config file");
    let text = configured.strip_prefix("pass:").or_else(|| match kind {
        SecretKind::Profile => configured.strip_prefix("literal:"),
        SecretKind::Sasl => None,
    });
    Ok(text.unwrap_or(configured).to_owned())
}

fn first_line(path: &str) -> Option<String> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) => {
            let text = os_text(&error);
            log!(LogModule::ConnMgr, Level::Error, "Unable to open password file {path}, error: {text}");
            return None;
        }
    };
    let mut line = String::new();
    BufReader::new(file.take(MAX_LINE)).read_line(&mut line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// The operating system's text for an error, without Rust's error number behind it.
#[must_use]
pub fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let path = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
        std::fs::write(&path, "from file\nsecond\n").unwrap();
        let profile = |s: &str| resolve(s, SecretKind::Profile);
        assert_eq!(profile("pass:x").unwrap(), "x");
        assert_eq!(profile("literal:x").unwrap(), "x");
        assert_eq!(resolve("literal:x", SecretKind::Sasl).unwrap(), "literal:x");
        assert_eq!(profile("bare").unwrap(), "bare");
        assert_eq!(profile(&format!("file:{}", path.display())).unwrap(), "from file");
        assert_eq!(profile("file:/no/such").unwrap(), "file:/no/such");
        assert_eq!(profile("env: NO_SUCH_VARIABLE_HERE"), Err(MissingVariable));
        assert_eq!(resolve("env:NO_SUCH_VARIABLE_HERE", SecretKind::Sasl).unwrap(), "env:NO_SUCH_VARIABLE_HERE");
        std::fs::remove_file(path).unwrap();
    }
}
