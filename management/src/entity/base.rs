//! Types that others extend.

use crate::schema::attribute::text;
use crate::schema::{EntityDef, EntityType};

pub(super) static ENTITY: EntityDef = EntityDef {
    name: "entity",
    description: "What every entity has.",
    attributes: &[
        text("name", "A label chosen by the operator; the identity when none was chosen.").unique().create(),
        text("identity", "The key that the router gave to the entity.").unique(),
        text("type", "The type of the entity.").required().create(),
    ],
    ..EntityDef::ROOT
};

pub(super) static CONFIGURATION_ENTITY: EntityDef = EntityDef {
    name: "configurationEntity",
    extends: Some(EntityType::Entity),
    operations: &["READ"],
    description: "Base of the types that configuration files may use.",
    ..EntityDef::ROOT
};

pub(super) static OPERATIONAL_ENTITY: EntityDef = EntityDef {
    name: "operationalEntity",
    extends: Some(EntityType::Entity),
    operations: &["READ"],
    description: "Base of the types that show live state.",
    ..EntityDef::ROOT
};

pub(super) static AMQP_MANAGEMENT: EntityDef = EntityDef {
    name: "org.amqp.management",
    operations: &["QUERY", "GET-TYPES", "GET-ANNOTATIONS", "GET-OPERATIONS", "GET-ATTRIBUTES", "GET-MGMT-NODES"],
    description: "Operations of a standard AMQP management node.",
    ..EntityDef::OPERATIONAL
};
