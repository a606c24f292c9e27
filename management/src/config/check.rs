//! What has to hold among the entities of a configuration (spec `management-protocol.md` 3.8).

use super::EntityConfig;
use crate::attributes::Attributes;
use crate::notation::{LiveEntity, RawEntity};
use crate::schema::EntityType;
use std::collections::HashMap;

/// Why entities cannot be together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetError(pub String);

/// Attributes of which no two entities may have the same.
const UNIQUE: [&str; 2] = ["name", "identity"];

/// How entities show in error texts: as raw maps while a file is read, by kind in a running router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Raw,
    Live,
}

/// Checks all entities of a file.
///
/// # Errors
/// Tells the first rule that is broken.
pub fn check_set(entities: &[EntityConfig]) -> Result<(), SetError> {
    broken_rules(entities).next().map_or(Ok(()), |(_, error)| Err(error))
}

/// The rules that the entities of a file break, and the place of the entity that breaks each.
pub(super) fn broken_rules(entities: &[EntityConfig]) -> impl Iterator<Item = (usize, SetError)> {
    let mut seen = Seen::default();
    let rivals = entities.iter().enumerate().filter_map(move |(index, entity)| {
        let rival = seen.add(index, entity).map(|first| &entities[first]).map(|e| (e.ty, &e.attributes));
        let checked = check_against((entity.ty, &entity.attributes), rival.into_iter(), Show::Raw);
        Some((index, checked.err()?))
    });
    let routers = entities.iter().enumerate().filter(|(_, e)| e.ty == EntityType::Router);
    let ids = routers.filter_map(|(index, router)| Some((index, illegal_id(router)?)));
    let router = entities.iter().find(|e| e.ty == EntityType::Router);
    let mode = router.and_then(|r| r.attributes.text("mode")).unwrap_or("standalone");
    let misplaced = entities.iter().enumerate().filter_map(move |(index, entity)| {
        let show = || RawEntity(entity.ty, &entity.attributes).to_string();
        Some((index, entity.ty.kind().misplaced(&entity.attributes, mode, &show)?))
    });
    rivals.chain(ids).chain(misplaced)
}

fn illegal_id(router: &EntityConfig) -> Option<SetError> {
    let id = router.attributes.text("id").filter(|id| id.contains(['|', '$']))?;
    Some(SetError(format!("Router ID \"{id}\" containes at least one illegal character (\"|$\").")))
}

/// The entities so far by what no other may have: where the first stands.
#[derive(Default)]
struct Seen<'a> {
    singletons: HashMap<EntityType, usize>,
    texts: HashMap<(&'static str, &'a str), usize>,
}

impl<'a> Seen<'a> {
    /// Adds an entity. Returns the first one that it cannot be together with.
    fn add(&mut self, index: usize, entity: &'a EntityConfig) -> Option<usize> {
        let texts = UNIQUE.into_iter().filter_map(|key| Some((key, entity.attributes.text(key)?)));
        let same_text = texts.map(|text| *self.texts.entry(text).or_insert(index));
        let same_type = entity.ty.def().singleton.then(|| *self.singletons.entry(entity.ty).or_insert(index));
        same_text.chain(same_type).min().filter(|first| *first < index)
    }
}

/// Checks a new entity of a running router against those that exist.
///
/// # Errors
/// When it is a second singleton, or has a name or identity that is taken.
pub fn check_singletons_and_names<'a>(
    new: (EntityType, &'a Attributes),
    existing: impl Iterator<Item = (EntityType, &'a Attributes)>,
) -> Result<(), SetError> {
    check_against(new, existing, Show::Live)
}

fn check_against<'a>(
    new: (EntityType, &'a Attributes),
    existing: impl Iterator<Item = (EntityType, &'a Attributes)>,
    show: Show,
) -> Result<(), SetError> {
    let text = |(ty, attributes): (EntityType, &Attributes)| match show {
        Show::Raw => RawEntity(ty, attributes).to_string(),
        Show::Live => LiveEntity(ty, attributes).to_string(),
    };
    for old in existing {
        if new.0 == old.0 && new.0.def().singleton {
            return Err(SetError(format!(
                "Adding {} singleton {} when {} already exists",
                new.0,
                text(new),
                text(old)
            )));
        }
        for key in UNIQUE {
            let value = new.1.get(key);
            if value.is_some() && value == old.1.get(key) {
                return Err(SetError(format!(
                    "adding {} duplicates unique attribute '{key}' from existing {}",
                    text(new),
                    text(old)
                )));
            }
        }
    }
    Ok(())
}
