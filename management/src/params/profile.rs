//! Parameters of `sslProfile` and `proxyProfile`.

use super::{owned, text};
use crate::config::EntityConfig;
use crate::error::RouterError;

/// Parameters of an sslProfile. Files are read when a listener or connector uses it.
#[derive(Debug, Clone)]
pub struct SslProfileParams {
    /// The name, or the identity when none was given.
    pub name: String,
    /// Ciphers, as an OpenSSL list.
    pub ciphers: Option<String>,
    /// TLS versions, separated by blanks.
    pub protocols: Option<String>,
    /// Authorities to trust.
    pub ca_cert_file: Option<String>,
    /// Own certificate.
    pub cert_file: Option<String>,
    /// Own key.
    pub private_key_file: Option<String>,
    /// The key's password as configured: text, or where it is.
    pub password: Option<String>,
    /// What makes the user id of a peer.
    pub uid_format: Option<String>,
    /// File with names for user ids.
    pub uid_name_mapping_file: Option<String>,
    /// Generation of the credentials.
    pub ordinal: u64,
    /// The oldest generation that connections may use.
    pub oldest_valid_ordinal: u64,
}

/// Parameters of a proxyProfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProfileParams {
    /// The name.
    pub name: String,
    /// Host of the proxy.
    pub host: Option<String>,
    /// Port of the proxy.
    pub port: Option<String>,
    /// User at the proxy.
    pub username: Option<String>,
    /// Password as configured: text, or where it is.
    pub password: Option<String>,
}

impl TryFrom<&EntityConfig> for SslProfileParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        let name = text(a, "name");
        let ordinal = |key| {
            u64::try_from(a.number(key).unwrap_or(0)).map_err(|_| {
                RouterError::configuration(format!("Negative ordinal field values are invalid (sslProfile '{name}')"))
                    .of_attributes()
            })
        };
        let (current, oldest) = (ordinal("ordinal")?, ordinal("oldestValidOrdinal")?);
        if current < oldest {
            return Err(RouterError::configuration(format!(
                "ordinal must be >= oldestValidOrdinal (sslProfile '{name}')"
            ))
            .of_attributes());
        }
        Ok(Self {
            ciphers: owned(a, "ciphers"),
            protocols: owned(a, "protocols"),
            ca_cert_file: owned(a, "caCertFile"),
            cert_file: owned(a, "certFile"),
            private_key_file: owned(a, "privateKeyFile"),
            password: owned(a, "password"),
            uid_format: owned(a, "uidFormat"),
            uid_name_mapping_file: owned(a, "uidNameMappingFile"),
            ordinal: current,
            oldest_valid_ordinal: oldest,
            name,
        })
    }
}

impl TryFrom<&EntityConfig> for ProxyProfileParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        Ok(Self {
            name: text(a, "name"),
            host: owned(a, "host"),
            port: owned(a, "port"),
            username: owned(a, "username"),
            password: owned(a, "password"),
        })
    }
}
