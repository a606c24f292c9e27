//! What listeners and connectors of services have in common, those of TCP and those of HTTP.

use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::{Running, TlsUser};
use crate::schema::Attribute;
use crate::schema::attribute::{number, text};
use adaptors::http_service::{HttpConnector, HttpListener};
use adaptors::tcp::{TcpConnector, TcpListener};
use adaptors::tls::{AllowedClients, TlsConfigError, TlsProfile, TlsUpdate};

/// What is at work for a service.
pub(super) trait Adaptor: TlsUser + Send + 'static {
    /// Begins.
    fn begin(&self);

    /// Ends for good; connections live on, or are cut.
    fn end(&self, drop_connections: bool);
}

macro_rules! adaptors {
    ($($adaptor:ty),*) => {$(
        impl TlsUser for $adaptor {
            fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
                self.prepare_tls(profile)
            }
        }

        impl Adaptor for $adaptor {
            fn begin(&self) {
                self.activate();
            }

            fn end(&self, drop_connections: bool) {
                self.delete(drop_connections);
            }
        }
    )*};
}

adaptors! { TcpListener, TcpConnector, HttpListener, HttpConnector }

/// Has an entity's adaptor begin.
pub(super) fn begin(runtime: &mut Runtime, entity: &EntityConfig, adaptor: impl Adaptor) {
    adaptor.begin();
    runtime.objects.run(entity, adaptor);
}

/// Has an entity's adaptor end, if there is one.
pub(super) fn end<A: Adaptor>(runtime: &mut Runtime, entity: &EntityConfig) {
    if let Some(open) = runtime.objects.remove::<Running<A>>(entity.identity()) {
        open.adaptor.end(runtime.drops_connections());
    }
}

pub(super) const BACKLOG: Attribute =
    number("backlog", "Connections that may wait to be taken; 0 is what the system allows.").or_number(0).create();

pub(super) const ALLOWED_CLIENTS: Attribute = text(
    "allowedClients",
    "The only clients that may use the service, by a name in their certificates, with semicolons between them; none means all.",
)
.or_text("")
.create();

/// The clients that may use a listener.
///
/// # Errors
/// When nothing tells who a client is.
pub(super) fn allowed_clients(a: &Attributes) -> Result<Option<AllowedClients>, RouterError> {
    let allowed = a.text(ALLOWED_CLIENTS.name).and_then(AllowedClients::parse);
    if allowed.is_some() && !(a.flag("authenticatePeer") && a.text("sslProfile").is_some()) {
        let text = "allowedClients needs an sslProfile and authenticatePeer, which tell who a client is";
        return Err(RouterError::configuration(text).of_attributes());
    }
    Ok(allowed)
}

/// Out of range is the system's limit, for which zero stands.
pub(super) fn backlog(a: &Attributes) -> u32 {
    a.number(BACKLOG.name).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// An attribute that the schema does not require, but sockets do.
pub(super) fn needed(a: &Attributes, name: &str) -> Result<String, RouterError> {
    a.owned(name).ok_or_else(|| RouterError::python(format!("KeyError: ('{name}',)")).of_attributes())
}
