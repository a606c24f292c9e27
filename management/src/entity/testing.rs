//! Help for the tests of the rooms.

use super::EntityType;
use crate::attributes::Attributes;
use crate::schema::validate;
use amqp_core::Value;

/// What an entity has that was given these attributes.
pub(crate) fn completed(ty: EntityType, given: &[(&'static str, Value)]) -> Attributes {
    let given = given.iter().map(|(name, value)| ((*name).into(), value.clone())).collect::<Attributes>();
    validate::complete(ty, given.with("type", ty.full())).expect("valid")
}
