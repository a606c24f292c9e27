//! Configuration of the core: address configurations and auto-links. Their identities are numbers, and the general
//! agent keeps copies of those that configuration files and requests with a short type name made.

use super::EntityType;
use super::table::{Core, Key, Rows, logged, row_map};
use crate::agent::{Backend, Failure, Request, Response, Status};
use crate::attributes::Attributes;
use crate::schema::validate;
use amqp_core::Value;
use amqp_core::value::Map;
use std::any::Any;

/// An address configuration or an auto-link.
pub(super) trait Config: Any + Send + Sized + PartialEq {
    const TYPE: EntityType;

    /// Reads the body of a CREATE request.
    ///
    /// # Errors
    /// The description to answer with.
    fn from_body(name: Option<&str>, body: &Map) -> Result<Self, String>;

    /// The name, when one was given.
    fn name(&self) -> Option<&str>;

    /// Has the core apply it, and logs that.
    ///
    /// # Errors
    /// When the core has something that it conflicts with.
    fn apply(&self, number: u64, backend: &mut dyn Backend) -> Result<(), Failure>;

    /// Has the core forget it, and logs that.
    fn withdraw(&self, number: u64, backend: &mut dyn Backend);

    /// Makes one of a configuration file, or logs why not: the router starts without it.
    fn load(attributes: &Attributes, core: &mut Core<'_>);
}

/// What of a [`Config`] the general agent needs for its copies.
pub(crate) trait Copied: Sync {
    /// Makes one of a configuration file, or logs why not.
    fn load(&self, attributes: &Attributes, core: &mut Core<'_>);

    /// Makes one.
    ///
    /// # Errors
    /// When it makes no sense, or conflicts with another.
    fn add(&self, name: Option<&str>, body: &Map, core: &mut Core<'_>) -> Result<(), Failure>;

    /// Removes one that was made of this.
    fn remove(&self, name: &str, body: &Map, core: &mut Core<'_>);
}

/// The copies of a kind.
pub(super) struct Copies<C>(pub(super) std::marker::PhantomData<fn() -> C>);

/// What exists of all kinds, by number, oldest first.
#[derive(Default)]
pub(crate) struct Numbered {
    entries: Vec<(u64, Box<dyn Any + Send>)>,
    last: u64,
}

// === impl Numbered ===

impl Numbered {
    /// All of a kind.
    pub(super) fn all<C: Config>(&self) -> impl Iterator<Item = (u64, &C)> {
        self.entries.iter().filter_map(|(number, config)| Some((*number, config.downcast_ref()?)))
    }

    /// The one of a kind with that key.
    pub(super) fn find<C: Config>(&self, key: Key<'_>) -> Option<(u64, &C)> {
        self.all::<C>().find(|(number, config)| match key {
            Key::Identity(identity) => identity == number.to_string(),
            Key::Name(name) => config.name() == Some(name),
        })
    }

    fn remove<C: Config>(&mut self, key: Key<'_>) -> Option<(u64, Box<C>)> {
        let (number, _) = self.find::<C>(key)?;
        let at = self.entries.iter().position(|(n, _)| *n == number)?;
        Some((number, self.entries.remove(at).1.downcast().ok()?))
    }
}

// === impl Core ===

impl Core<'_> {
    /// Applies and keeps one. Returns its number.
    pub(super) fn add<C: Config>(&mut self, config: C) -> Result<u64, Failure> {
        let number = self.numbered.last + 1;
        config.apply(number, self.backend)?;
        self.numbered.last = number;
        self.numbered.entries.push((number, Box::new(config)));
        Ok(number)
    }
}

// === impl Copied ===

impl<C: Config> Copied for Copies<C> {
    fn load(&self, attributes: &Attributes, core: &mut Core<'_>) {
        C::load(attributes, core);
    }

    fn add(&self, name: Option<&str>, body: &Map, core: &mut Core<'_>) -> Result<(), Failure> {
        let config = C::from_body(name, body).map_err(Failure::bad_request)?;
        core.add(config).map(drop)
    }

    fn remove(&self, name: &str, body: &Map, core: &mut Core<'_>) {
        // Those of a file have the names of their copies.
        let made: [Result<C, _>; 2] = [Some(name), None].map(|name| C::from_body(name, body));
        let number =
            core.numbered.all::<C>().find(|(_, c)| made.iter().flatten().any(|made| made == *c)).map(|(n, _)| n);
        let removed = number.and_then(|number| core.numbered.remove::<C>(Key::Identity(&number.to_string())));
        if let Some((number, config)) = removed {
            config.withdraw(number, core.backend);
        }
    }
}

/// CREATE with the full type name.
pub(super) fn create<C: Config, T: Rows>(table: &T, core: &mut Core<'_>, request: &Request) -> Response {
    let response = logged(T::TYPE, "CREATE", try_create::<C, T>(table, core, request));
    if response.status == Status::Created { response } else { Response { body: Value::Null, ..response } }
}

fn try_create<C: Config, T: Rows>(table: &T, core: &mut Core<'_>, request: &Request) -> Result<Response, Failure> {
    let name = request.text("name");
    if name.is_some_and(|name| core.numbered.find::<C>(Key::Name(name)).is_some()) {
        return Err(Failure::bad_request("Name conflicts with an existing entity"));
    }
    let body = request.body.as_map().ok_or_else(|| Failure::bad_request("Body of request must be a map"))?;
    let body = validate::given(C::TYPE, body)?.into_map();
    let config = C::from_body(name, &body).map_err(Failure::bad_request)?;
    let number = core.add(config)?.to_string();
    let row = table.find(core, Key::Identity(&number)).map(|row| row_map::<T>(&row));
    Ok(Response::new(Status::Created, row.unwrap_or_default()))
}

/// DELETE with the full type name.
pub(super) fn delete<C: Config>(core: &mut Core<'_>, request: &Request) -> Response {
    logged(C::TYPE, "DELETE", try_delete::<C>(core, request))
}

fn try_delete<C: Config>(core: &mut Core<'_>, request: &Request) -> Result<Response, Failure> {
    let removed = core.numbered.remove::<C>(Key::of(request)?);
    let (number, config) = removed.ok_or_else(|| Failure::not_found(Status::NotFound.description()))?;
    config.withdraw(number, core.backend);
    Ok(Response::new(Status::NoContent, Map::new()))
}
