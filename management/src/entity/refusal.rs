//! Why a listener or connector is not made; how that is logged differs.

use crate::error::{ErrorClass, RouterError};
use adaptors::http::CreateError;
use adaptors::tls::TlsConfigError;
use router_engine::log::{Level, LogModule};

/// Why a listener or connector is not made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its attributes make no sense.
    Plain(RouterError),
    /// There is no TLS profile of that name.
    NoProfile(RouterError),
    /// The TLS profile is of no use, as the adaptor has logged already.
    Tls(RouterError),
}

// === impl Refusal ===

impl Refusal {
    /// Logs it, unless that is done. The line of a missing profile begins with `no_profile`.
    pub(super) fn log(self, module: LogModule, what: &str, no_profile: &str) -> RouterError {
        match self {
            Self::Plain(error) => {
                router_engine::log!(module, Level::Error, "Unable to create {what}: {error}");
                error
            }
            Self::NoProfile(error) => {
                router_engine::log!(module, Level::Error, "{no_profile}: {error}");
                error
            }
            Self::Tls(error) => error,
        }
    }
}

impl From<RouterError> for Refusal {
    fn from(error: RouterError) -> Self {
        Self::Plain(error)
    }
}

impl From<TlsConfigError> for Refusal {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(RouterError::configuration(error.to_string()))
    }
}

impl From<CreateError> for Refusal {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Tls(error) => error.into(),
            CreateError::Thread(error) => Self::Plain(RouterError::new(ErrorClass::System, error.to_string())),
        }
    }
}
