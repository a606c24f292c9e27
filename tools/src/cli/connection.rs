//! Options that both tools have: which router, and how to reach it.

use std::fs;
use std::time::Duration;

use clap::Args;

use crate::client::{Sasl, Target, Tls, Url};
use crate::error::{Error, Result};

/// Options of the connection.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection Options")]
pub struct ConnectionOptions {
    /// URL of the router: [amqp[s]://][USER[:PASSWORD]@]HOST[:PORT][/PATH]
    #[arg(short, long, value_name = "URL", default_value = "0.0.0.0")]
    pub bus: String,
    /// Longest time that a step may take: to connect, attach, send, receive
    #[arg(short, long, value_name = "SECS", default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
    /// Client's certificate (PEM)
    #[arg(long, value_name = "CERT")]
    pub ssl_certificate: Option<String>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "KEY")]
    pub ssl_key: Option<String>,
    /// Trusted authorities (PEM), instead of the system's
    #[arg(long, value_name = "TRUSTED-CA-DB")]
    pub ssl_trustfile: Option<String>,
    /// Password of the private key
    #[arg(long, value_name = "PASSWORD")]
    pub ssl_password: Option<String>,
    /// File with the password of the private key
    #[arg(long, value_name = "SSL-PASSWORD-FILE")]
    pub ssl_password_file: Option<String>,
    /// Mechanisms that may be used: EXTERNAL, PLAIN, ANONYMOUS
    #[arg(long, value_name = "SASL-MECHANISMS")]
    pub sasl_mechanisms: Option<String>,
    /// User for SASL PLAIN
    #[arg(long, value_name = "SASL-USERNAME")]
    pub sasl_username: Option<String>,
    /// Password for SASL PLAIN
    #[arg(long, value_name = "SASL-PASSWORD")]
    pub sasl_password: Option<String>,
    /// File with the password for SASL PLAIN
    #[arg(long, value_name = "SASL-PASSWORD-FILE")]
    pub sasl_password_file: Option<String>,
    /// Accept the router's certificate under any host name. Insecure: not for production
    #[arg(long)]
    pub ssl_disable_peer_name_verify: bool,
}

// === impl ConnectionOptions ===

impl ConnectionOptions {
    /// Where and how to connect. A path in the URL beats the names of routers.
    ///
    /// # Errors
    /// [`Error::Value`] for a URL that is none, [`Error::File`] for a password file.
    pub fn target(&self, router: Option<&str>, edge_router: Option<&str>) -> Result<Target> {
        let secure = self.ssl_certificate.is_some() || self.ssl_trustfile.is_some();
        let url = Url::parse(&self.bus, secure)?;
        let address = match (&url.path, router, edge_router) {
            (Some(path), _, _) => path.clone(),
            (None, Some(router), _) => interior_address(router),
            (None, None, Some(edge)) => edge_address(edge),
            (None, None, None) => "$management".to_owned(),
        };
        let tls = if url.secure { Some(self.tls()?) } else { None };
        let sasl = self.sasl(&url)?;
        Ok(Target { url, address, timeout: self.timeout, tls, sasl })
    }

    fn tls(&self) -> Result<Tls> {
        Ok(Tls {
            certificate: self.ssl_certificate.clone(),
            key: self.ssl_key.clone(),
            password: password(self.ssl_password_file.as_deref(), self.ssl_password.as_ref())?,
            trusted: self.ssl_trustfile.clone(),
            any_name: self.ssl_disable_peer_name_verify,
        })
    }

    /// Without TLS, credentials and mechanisms, bare AMQP is spoken.
    fn sasl(&self, url: &Url) -> Result<Option<Sasl>> {
        let given = self.sasl_password.as_ref().or(url.password.as_ref());
        let password = password(self.sasl_password_file.as_deref(), given)?;
        let user = self.sasl_username.clone().or_else(|| url.user.clone());
        let wanted = url.secure || self.sasl_mechanisms.is_some() || user.is_some() || password.is_some();
        let allowed = self.sasl_mechanisms.as_ref();
        Ok(wanted.then(|| Sasl {
            allowed: allowed.map(|names| names.split([' ', ',']).map(str::to_owned).collect()),
            user,
            password,
            certified: url.secure && self.ssl_certificate.is_some(),
        }))
    }
}

/// Management address of an interior router.
pub fn interior_address(router: &str) -> String {
    format!("_topo/0/{router}/$management")
}

/// Management address of an edge router.
pub fn edge_address(router: &str) -> String {
    format!("_edge/{router}/$management")
}

/// A file wins over the command line.
fn password(file: Option<&str>, given: Option<&String>) -> Result<Option<String>> {
    let Some(path) = file else { return Ok(given.cloned()) };
    let content = fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
    Ok(Some(content.trim().to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse::<f64>().ok().and_then(|value| Duration::try_from_secs_f64(value).ok());
    seconds.ok_or_else(|| format!("invalid float value: '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches, Parser};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        connection: ConnectionOptions,
    }

    fn target(words: &[&str], router: Option<&str>, edge: Option<&str>) -> Target {
        let matches = Only::command().get_matches_from([&["test"], words].concat());
        let only = Only::from_arg_matches(&matches).expect("options");
        only.connection.target(router, edge).expect("target")
    }

    #[test]
    fn addresses() {
        assert_eq!(target(&[], None, None).address, "$management");
        assert_eq!(target(&[], Some("R"), Some("E")).address, "_topo/0/R/$management");
        assert_eq!(target(&[], None, Some("E")).address, "_edge/E/$management");
        assert_eq!(target(&["-b", "h/x/y"], Some("R"), None).address, "x/y");
    }

    #[test]
    fn layers() {
        let plain = target(&["-b", "amqp://h:1"], None, None);
        assert!(plain.tls.is_none() && plain.sasl.is_none());
        let secure = target(&["-b", "amqp://h:1", "--ssl-trustfile", "ca"], None, None);
        assert!(secure.tls.is_some() && secure.sasl.is_some());
        let named = target(&["-b", "u:p@h"], None, None);
        assert!(named.tls.is_none());
        assert_eq!(named.sasl.and_then(|sasl| sasl.password).as_deref(), Some("p"));
    }
}
