//! The order in which the entities of a file are created (spec `management-protocol.md` 7.3).

use super::EntityConfig;
use crate::schema::EntityType;

/// Rank of a type; entities of equal rank keep the order of the file.
fn rank(ty: EntityType) -> u8 {
    match ty {
        // First, so that what follows is logged as configured.
        EntityType::Log => 0,
        EntityType::Router => 1,
        EntityType::Network => 2,
        EntityType::Policy => 3,
        EntityType::SslProfile => 4,
        EntityType::ConfigAddress => 5,
        EntityType::AutoLink => 6,
        EntityType::Vhost => 7,
        // Sockets last, when all that they use is there.
        EntityType::Connector => 9,
        EntityType::Listener => 10,
        EntityType::TcpListener => 11,
        EntityType::TcpConnector => 12,
        EntityType::ListenerAddress => 13,
        _ => 8,
    }
}

/// Sorts entities of a file into the order of their creation.
#[must_use]
pub fn creation_order(mut entities: Vec<EntityConfig>) -> Vec<EntityConfig> {
    entities.sort_by_key(|e| rank(e.ty));
    entities
}
