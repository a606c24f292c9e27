//! `listenerAddress`: one of the addresses of a `tcpListener` that has several.

use super::column::{self, Column, counter};
use super::needs::Needs;
use super::{EntityKind, EntityType};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::{Object, Running};
use crate::schema::attribute::{number, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::tcp::{AddressEntry, Strategy, TcpListener};
use router_engine::log::{Level, LogModule};

pub(super) static DEF: EntityDef = EntityDef {
    name: "listenerAddress",
    operations: &["CREATE", "DELETE"],
    identity: Identity::Attributes("listener", "address"),
    origin: Origin::Configured { rank: 13 },
    description: "One of the addresses of a tcpListener that has several.",
    attributes: &[
        text("address", "The service address.").required().create(),
        number("value", "Its priority or weight.").required().create(),
        text("listener", "The name of the tcpListener.").required().create(),
        number("connectionsOpened", "Connections carried to this address."),
    ],
    ..EntityDef::CONFIGURATION
};

/// Live attributes.
const COLUMNS: &[Column<Option<AddressEntry>>] =
    &[("connectionsOpened", |entry| counter(entry.as_ref().map_or(0, |entry| entry.opened)))];

/// An address that was assigned to a listener.
pub(super) struct Assigned {
    /// The name of the listener.
    pub(super) listener: String,
}

impl Object for Assigned {}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn needs(&self, _: &Attributes) -> Result<Needs, RouterError> {
        Ok(Needs { entities: &[("listener", EntityType::TcpListener)], ..Needs::default() })
    }

    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        assign(runtime, entity).inspect_err(|error| {
            router_engine::log!(LogModule::TcpAdaptor, Level::Error, "Unable to create tcp listener address: {error}");
        })
    }

    fn delete(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        if let Some(assigned) = runtime.objects.remove::<Assigned>(entity.identity())
            && let Some(listener) = named(runtime, &assigned.listener)
        {
            listener.remove_address(entity.name());
        }
        Ok(())
    }

    fn live(&self, runtime: &Runtime, entity: &EntityConfig) -> Attributes {
        let listener = entity.attributes.text("listener").and_then(|listener| named(runtime, listener));
        let entries = listener.map(TcpListener::addresses).unwrap_or_default();
        let entry = entries.into_iter().find(|entry| entry.name == entity.name());
        column::shown(COLUMNS, &entry)
    }
}

fn assign(runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
    let a = &entity.attributes;
    let listener = a.string("listener");
    let Some(open) = named(runtime, &listener) else {
        return Err(RouterError::value(format!("Listener for new address does not exist {listener}")));
    };
    if open.params().strategy == Strategy::None {
        let text = format!("Must not assign new address to non multi-address listener {listener}");
        return Err(RouterError::value(text));
    }
    open.add_address(entity.name(), a.text("address").unwrap_or_default(), a.number("value").unwrap_or(0));
    runtime.objects.insert(entity.identity(), Assigned { listener });
    Ok(())
}

/// The `tcpListener` of that name.
fn named<'a>(runtime: &'a Runtime, name: &str) -> Option<&'a TcpListener> {
    let mut listeners = runtime.objects.all::<Running<TcpListener>>().map(|open| &open.adaptor);
    listeners.find(|listener| listener.params().name == name)
}
