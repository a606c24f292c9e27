//! `[amqp[s]://][USER[:PASSWORD]@]HOST[:PORT][/PATH]`

use crate::error::{Error, Result};

/// Where a management node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is to be used.
    pub secure: bool,
    /// User, if the URL has one.
    pub user: Option<String>,
    /// Password, if the URL has one.
    pub password: Option<String>,
    /// Name or address, without the brackets of IPv6.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Address of the management node, if the URL has one.
    pub path: Option<String>,
}

// === impl Url ===

impl Url {
    /// Reads a URL. `secure` asks for TLS whatever the scheme says.
    ///
    /// # Errors
    /// [`Error::Value`] for a port that is none.
    pub fn parse(text: &str, secure: bool) -> Result<Self> {
        let (scheme_secure, rest) = match text.split_once("://") {
            Some(("amqps", rest)) => (true, rest),
            Some((_, rest)) => (false, rest),
            None => (false, text),
        };
        let secure = secure || scheme_secure;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path.to_owned())),
            None => (rest, None),
        };
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host_port)) => (Some(user_info), host_port),
            None => (None, authority),
        };
        let (user, password) = user_info.map_or((None, None), |text| match text.split_once(':') {
            Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
            None => (Some(text.to_owned()), None),
        });
        let (host, port) = split_port(host_port);
        let port = port.map_or(Ok(if secure { 5671 } else { 5672 }), |port| named_port(port, text))?;
        let host = if host.is_empty() { "0.0.0.0".to_owned() } else { host.to_owned() };
        Ok(Self { secure, user, password, host, port, path })
    }
}

impl std::fmt::Display for Url {
    /// Without user, password and path.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "amqps" } else { "amqp" };
        match self.host.contains(':') {
            true => write!(formatter, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(formatter, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

fn named_port(port: &str, url: &str) -> Result<u16> {
    match port {
        "amqp" => Ok(5672),
        "amqps" => Ok(5671),
        _ => port.parse().map_err(|_| Error::Value(format!("invalid port '{port}' in URL '{url}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_urls() {
        let shown = |text| Url::parse(text, false).expect(text).to_string();
        assert_eq!(shown("0.0.0.0"), "amqp://0.0.0.0:5672");
        assert_eq!(shown("amqps://host"), "amqps://host:5671");
        assert_eq!(shown("[::1]:7"), "amqp://[::1]:7");
        assert_eq!(shown("::1"), "amqp://[::1]:5672");
        assert_eq!(Url::parse("host", true).expect("url").to_string(), "amqps://host:5671");
        assert!(Url::parse("host:x", false).is_err());
    }

    #[test]
    fn all_parts() {
        let url = Url::parse("amqp://me:a:b@c@h:1/_topo/0/R/$management", false).expect("url");
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("me"), Some("a:b@c")));
        assert_eq!((url.host.as_str(), url.port), ("h", 1));
        assert_eq!(url.path.as_deref(), Some("_topo/0/R/$management"));
    }
}
