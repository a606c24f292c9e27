//! `proxyProfile`: an HTTP proxy that connectors name.

use super::EntityKind;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Object;
use crate::schema::attribute::{port, text};
use crate::schema::{EntityDef, Identity};
use adaptors::amqp::ProxyProfile;
use adaptors::tls::secret::{SecretKind, resolve};
use router_engine::log::{Level, LogModule};
use router_engine::port::Secret;

pub(super) static DEF: EntityDef = EntityDef {
    name: "proxyProfile",
    referential: true,
    operations: &["CREATE", "UPDATE", "DELETE"],
    identity: Identity::Attribute("name"),
    description: "An HTTP proxy for connectors to go through.",
    attributes: &[
        text("host", "The host of the proxy.").create().update(),
        port("port", "The port of the proxy.").create().update(),
        text("username", "The user at the proxy.").create().update(),
        text("password", "The user's password: the text itself, or env:, file:, pass: or literal: and where it is.")
            .create()
            .update()
            .hidden(),
    ],
    ..EntityDef::CONFIGURATION
};

/// A profile that is there, by its name; what it says is in [`Runtime::proxies`].
pub(super) struct Proxy;

impl Object for Proxy {}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.proxies.set(entity.name(), profile(&entity.attributes)?);
        runtime.objects.insert(entity.name(), Proxy);
        router_engine::log!(LogModule::Agent, Level::Info, "Created proxyProfile {}", entity.name());
        Ok(())
    }

    fn update(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.proxies.set(entity.name(), profile(&entity.attributes)?);
        router_engine::log!(LogModule::Agent, Level::Info, "Updated proxyProfile {}", entity.name());
        Ok(())
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.proxies.remove(entity.name());
        runtime.objects.remove::<Proxy>(entity.name());
        router_engine::log!(LogModule::Agent, Level::Info, "Deleted proxyProfile {}", entity.name());
        Ok(())
    }
}

fn profile(a: &Attributes) -> Result<ProxyProfile, RouterError> {
    let password = a.text("password").map(|configured| resolve(configured, SecretKind::Profile)).transpose();
    Ok(ProxyProfile {
        host: a.string("host"),
        port: a.string("port"),
        username: a.owned("username"),
        password: password.map_err(|e| RouterError::not_found(e.to_string()))?.map(Secret::from),
    })
}
