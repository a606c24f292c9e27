//! Base types, the management node, and the playground type.

use super::attribute::{number, text};
use super::entity_type::{EntityDef, EntityType};

pub(super) static ENTITY: EntityDef = EntityDef {
    name: "entity",
    extends: None,
    singleton: false,
    referential: false,
    operations: &[],
    description: "What every entity has.",
    attributes: &[
        text("name", "A label chosen by the operator; the identity when none was chosen.").unique().create(),
        text("identity", "The key that the router gave to the entity.").unique(),
        text("type", "The type of the entity.").required().create(),
    ],
};

pub(super) static AMQP_MANAGEMENT: EntityDef = EntityDef {
    name: "org.amqp.management",
    extends: Some(EntityType::OperationalEntity),
    singleton: false,
    referential: false,
    operations: &["QUERY", "GET-TYPES", "GET-ANNOTATIONS", "GET-OPERATIONS", "GET-ATTRIBUTES", "GET-MGMT-NODES"],
    description: "Operations of a standard AMQP management node.",
    attributes: &[],
};

pub(super) static MANAGEMENT: EntityDef = EntityDef {
    name: "management",
    extends: Some(EntityType::AmqpManagement),
    singleton: true,
    referential: false,
    operations: &["GET-SCHEMA", "GET-JSON-SCHEMA", "GET-LOG", "PROFILE"],
    description: "The management node, with the operations that this router adds.",
    attributes: &[],
};

pub(super) static CONFIGURATION_ENTITY: EntityDef = EntityDef {
    name: "configurationEntity",
    extends: Some(EntityType::Entity),
    singleton: false,
    referential: false,
    operations: &["READ"],
    description: "Base of the types that configuration files may use.",
    attributes: &[],
};

pub(super) static OPERATIONAL_ENTITY: EntityDef = EntityDef {
    name: "operationalEntity",
    extends: Some(EntityType::Entity),
    singleton: false,
    referential: false,
    operations: &["READ"],
    description: "Base of the types that show live state.",
    attributes: &[],
};

pub(super) static DUMMY: EntityDef = EntityDef {
    name: "dummy",
    extends: Some(EntityType::Entity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "READ", "UPDATE", "DELETE", "CALLME"],
    description: "Does nothing; lets management clients be tried out.",
    attributes: &[
        text("arg1", "Any text.").create().update(),
        text("arg2", "Any other text.").create().update(),
        number("num1", "Any number.").create().update(),
        number("num2", "Any other number.").create().update(),
    ],
};
