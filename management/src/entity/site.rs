//! `site`: has the router publish a record of the site that it belongs to (spec `vanflow.md` section 7.2).

use super::EntityKind;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::runtime::Runtime;
use crate::runtime::objects::Object;
use crate::schema::attribute::text;
use crate::schema::{EntityDef, Identity};
use crate::vanflow::environment;
use adaptors::clock;
use router_engine::vanflow::{Attribute, Record};

pub(super) static DEF: EntityDef = EntityDef {
    name: "site",
    identity: Identity::None,
    description: "Has the router publish a site record of its own.",
    attributes: &[
        text("location", "The place of the site.").create(),
        text("provider", "Who hosts the site.").create(),
        text("version", "The version of the control plane.").create(),
        text("platform", "The platform of the site.").create(),
        text("namespace", "The namespace or user of the site.").create(),
    ],
    ..EntityDef::CONFIGURATION
};

/// What its record shows of the entity.
const SHOWN: [(&str, Attribute); 6] = [
    ("name", Attribute::Name),
    ("location", Attribute::Location),
    ("provider", Attribute::Provider),
    ("platform", Attribute::Platform),
    ("namespace", Attribute::Namespace),
    ("version", Attribute::BuildVersion),
];

/// The record of the site, which ends with it.
struct Site(#[expect(dead_code, reason = "kept for its end")] Record);

impl Object for Site {}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn create(&self, runtime: &mut Runtime, entity: &EntityConfig) -> Result<(), RouterError> {
        let Some(records) = runtime.engine()?.router.records() else { return Ok(()) };
        let shown = SHOWN.iter().filter_map(|(name, attribute)| {
            let text = entity.attributes.owned(name)?;
            Some((*attribute, text.into()))
        });
        let record = records.begin_site(environment::site_id().as_deref(), shown.collect(), clock::now());
        runtime.objects.insert(entity.identity(), Site(record));
        Ok(())
    }
}
