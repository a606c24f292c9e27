//! `network`: which network and tenant the router belongs to.

use super::EntityKind;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::schema::attribute::text;
use crate::schema::{EntityDef, Origin};
use router_engine::log::{Level, LogModule};

pub(super) static DEF: EntityDef = EntityDef {
    name: "network",
    singleton: true,
    operations: &["UPDATE"],
    origin: Origin::Configured { rank: 2 },
    description: "Which network and tenant the router belongs to.",
    attributes: &[
        text("networkId", "The id of the network.").create().update(),
        text("tenantId", "The id of the tenant on a shared network.").create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    /// The router starts once it has its network: the router entity came before.
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.start(entity.attributes.owned("networkId"), entity.attributes.owned("tenantId"))
    }

    fn update(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let id = entity.attributes.text("networkId");
        if let Some(router) = runtime.router() {
            router.set_network_id(id);
        }
        let shown = id.unwrap_or("0");
        router_engine::log!(LogModule::RouterCore, Level::Info, "Router's network-id updated to {shown}");
        Ok(())
    }
}
