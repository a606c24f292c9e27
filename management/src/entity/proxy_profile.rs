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
    let username = a.owned("username");
    // The colon ends the name in what the proxy is sent (RFC 7617 2).
    if username.as_ref().is_some_and(|name| name.contains(|c: char| c == ':' || c.is_control())) {
        return Err(RouterError::configuration("username must have no colon and no control characters").of_attributes());
    }
    Ok(ProxyProfile {
        host: a.string("host"),
        port: a.string("port"),
        username,
        password: password.map_err(|e| RouterError::not_found(e.to_string()))?.map(Secret::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType;
    use crate::entity::testing::completed;

    #[test]
    fn names_are_what_a_proxy_can_be_told() {
        let given = |name: &str| profile(&completed(EntityType::ProxyProfile, &[("username", name.into())]));
        assert_eq!(given("alice").expect("valid").username.as_deref(), Some("alice"));
        for name in ["a:b", "a\r\nX: y"] {
            assert!(given(name).is_err(), "{name:?}");
        }
    }
}
