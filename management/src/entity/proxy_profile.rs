//! `proxyProfile`: an HTTP proxy that connectors name.

use super::EntityKind;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Object;
use crate::schema::attribute::{port, text};
use crate::schema::{EntityDef, Identity};
use router_engine::log::{Level, LogModule};

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
        text("password", "The password at the proxy.").create().update().hidden(),
    ],
    ..EntityDef::CONFIGURATION
};

/// A profile that is there, by its name. Its attributes are for connectors that go through proxies, which none does yet.
pub(super) struct Proxy;

impl Object for Proxy {}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.objects.insert(entity.name(), Proxy);
        router_engine::log!(LogModule::Agent, Level::Info, "Created proxyProfile {}", entity.name());
        Ok(())
    }

    fn update(&self, _: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        router_engine::log!(LogModule::Agent, Level::Info, "Updated proxyProfile {}", entity.name());
        Ok(())
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.objects.remove::<Proxy>(entity.name());
        router_engine::log!(LogModule::Agent, Level::Info, "Deleted proxyProfile {}", entity.name());
        Ok(())
    }
}
