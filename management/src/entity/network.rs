//! `network`: which network and tenant the router belongs to.

use super::EntityKind;
use crate::agent::Failure;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Object;
use crate::schema::attribute::text;
use crate::schema::{EntityDef, Origin};
use router_engine::log::{Level, LogModule};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

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

/// From an update to its effect, as upstream has it.
const DELAY: Duration = Duration::from_secs(1);

/// Octets of an id at most: C routers cut what is longer where they make addresses of it.
const ID_MAX: usize = 62;

/// An update that may still be without effect. It will have none once it is dropped.
struct Update {
    _newest: oneshot::Sender<()>,
}

impl Object for Update {}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn check(&self, attributes: &Attributes) -> Result<(), Failure> {
        check_id(attributes).map_err(Failure::validation)
    }

    /// The router starts once it has its network: the router entity came before.
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        runtime.start(entity.attributes.owned("networkId"), entity.attributes.owned("tenantId"))
    }

    /// The answer goes to an address that may carry the present id: the new one holds a little later.
    fn update(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        check_id(&entity.attributes).map_err(RouterError::configuration)?;
        let (io, id) = (&runtime.engine()?.io, entity.attributes.owned("networkId"));
        let (router, (newest, newer)) = (Arc::clone(io.router()), oneshot::channel());
        io.spawn("network id", async move {
            if timeout(DELAY, newer).await.is_ok() {
                return;
            }
            router.set_network_id(id.as_deref());
            let shown = id.as_deref().unwrap_or("0");
            router_engine::log!(LogModule::RouterCore, Level::Info, "Router's network-id updated to {shown}");
        });
        runtime.objects.insert("", Update { _newest: newest });
        Ok(())
    }
}

/// An id is one element of addresses.
fn check_id(attributes: &Attributes) -> Result<(), String> {
    let id = attributes.text("networkId").unwrap_or_default();
    if id.contains('/') {
        return Err(format!("Invalid networkId '{id}': it contains '/'"));
    }
    if id.len() > ID_MAX {
        return Err(format!("Invalid networkId '{id}': it is longer than {ID_MAX} octets"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_element_of_an_address() {
        let check = |id: &str| Kind.check(&Attributes::new().with("networkId", id)).map_err(|failure| failure.text);
        assert_eq!(Kind.check(&Attributes::new()), Ok(()));
        let longest = "x".repeat(ID_MAX);
        for id in ["", "0", "net-a", &longest] {
            assert_eq!(check(id), Ok(()), "{id}");
        }
        assert_eq!(check("a/b"), Err("Invalid networkId 'a/b': it contains '/'".to_owned()));
        let longer = longest + "x";
        assert_eq!(check(&longer), Err(format!("Invalid networkId '{longer}': it is longer than 62 octets")));
    }
}
