//! What the entities of a running router stand for. Only the room of a kind knows what its objects are.

use crate::config::EntityConfig;
use adaptors::tls::{TlsConfigError, TlsProfile, TlsUpdate};
use std::any::{Any, TypeId};
use std::collections::HashMap;

/// What an entity stands for while it exists.
pub(crate) trait Object: Any + Send {
    /// The TLS profile that it uses, and itself as the user.
    fn tls_use(&self) -> Option<(&str, &dyn TlsUser)> {
        None
    }
}

/// Whoever uses a TLS profile.
pub(crate) trait TlsUser {
    /// Loads new values of the profile, to be switched to when all users have loaded them.
    ///
    /// # Errors
    /// When they are of no use to it.
    fn prepare_tls(&self, profile: &TlsProfile) -> Result<TlsUpdate, TlsConfigError>;

    /// Whether, once it is deleted, new values are nothing to it.
    fn has_left(&self) -> bool {
        true
    }
}

/// A listener or connector of an adaptor at work.
pub(crate) struct Running<A> {
    pub(crate) adaptor: A,
    pub(crate) ssl_profile: Option<String>,
}

/// Objects by their type, and by a key that the room of the type chooses.
#[derive(Default)]
pub(crate) struct Objects {
    present: HashMap<TypeId, HashMap<String, Box<dyn Object>>>,
    /// Taken out, but what they began goes on and uses their TLS profile.
    leaving: Vec<Box<dyn Object>>,
}

impl<A: TlsUser + Send + 'static> Object for Running<A> {
    fn tls_use(&self) -> Option<(&str, &dyn TlsUser)> {
        Some((self.ssl_profile.as_deref()?, &self.adaptor))
    }
}

// === impl Objects ===

impl Objects {
    /// Keeps an object in place of the one with that key.
    pub(crate) fn insert<T: Object>(&mut self, key: impl Into<String>, object: T) {
        self.present.entry(TypeId::of::<T>()).or_default().insert(key.into(), Box::new(object));
    }

    /// Keeps the adaptor of an entity, which is at work.
    pub(crate) fn run<A: TlsUser + Send + 'static>(&mut self, entity: &EntityConfig, adaptor: A) {
        let ssl_profile = entity.attributes.owned("sslProfile");
        self.insert(entity.identity(), Running { adaptor, ssl_profile });
    }

    /// Takes an object out.
    pub(crate) fn remove<T: Object>(&mut self, key: &str) -> Option<T> {
        let object: Box<dyn Any> = self.present.get_mut(&TypeId::of::<T>())?.remove(key)?;
        Some(*object.downcast().ok()?)
    }

    /// The object with that key.
    pub(crate) fn get<T: Object>(&self, key: &str) -> Option<&T> {
        let object: &dyn Any = self.present.get(&TypeId::of::<T>())?.get(key)?.as_ref();
        object.downcast_ref()
    }

    /// All objects of a type, in no particular order.
    pub(crate) fn all<T: Object>(&self) -> impl Iterator<Item = &T> {
        let objects = self.present.get(&TypeId::of::<T>()).into_iter().flat_map(HashMap::values);
        objects.filter_map(|object| (object.as_ref() as &dyn Any).downcast_ref())
    }

    /// Keeps an object that was taken out for as long as it uses a TLS profile.
    pub(crate) fn leave<T: Object>(&mut self, object: T) {
        self.leaving.push(Box::new(object));
        self.leaving.retain(|object| object.tls_use().is_some_and(|(_, user)| !user.has_left()));
    }

    /// Whoever uses a TLS profile.
    pub(crate) fn tls_users<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = &'a dyn TlsUser> {
        let objects = self.present.values().flat_map(HashMap::values).chain(&self.leaving);
        let uses = objects.filter_map(|object| object.tls_use());
        uses.filter(move |(used, _)| *used == profile).map(|(_, user)| user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Number(u32);
    struct Text(&'static str);

    impl Object for Number {}
    impl Object for Text {}

    struct Adaptor;

    impl TlsUser for Adaptor {
        fn prepare_tls(&self, _: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
            unreachable!("nobody asks for it")
        }
    }

    #[test]
    fn objects_of_different_types_may_have_the_same_key() {
        let mut objects = Objects::default();
        objects.insert("a", Number(1));
        objects.insert("a", Text("one"));
        objects.insert("a", Number(2));
        assert_eq!((objects.all::<Number>().count(), objects.all::<Text>().count()), (1, 1));
        assert_eq!(objects.get::<Number>("a").map(|n| n.0), Some(2));
        assert_eq!(objects.remove::<Text>("a").map(|t| t.0), Some("one"));
        assert!(objects.get::<Text>("a").is_none() && objects.remove::<Text>("a").is_none());
        assert!(objects.get::<Number>("a").is_some());
    }

    /// Lives on when it is deleted, until others have let go of it.
    struct Lasting(Arc<()>);

    impl TlsUser for Lasting {
        fn prepare_tls(&self, _: &TlsProfile) -> Result<TlsUpdate, TlsConfigError> {
            unreachable!("nobody asks for it")
        }

        fn has_left(&self) -> bool {
            Arc::strong_count(&self.0) == 1
        }
    }

    #[test]
    fn who_is_deleted_uses_its_profile_to_the_end() {
        let mut objects = Objects::default();
        let (profile, connection) = (|| Some("p".to_owned()), Arc::new(()));
        objects.leave(Running { adaptor: Adaptor, ssl_profile: profile() });
        objects.leave(Running { adaptor: Lasting(Arc::clone(&connection)), ssl_profile: None });
        assert_eq!(objects.tls_users("p").count(), 0);
        objects.leave(Running { adaptor: Lasting(Arc::clone(&connection)), ssl_profile: profile() });
        assert_eq!((objects.tls_users("p").count(), objects.leaving.len()), (1, 1));
        drop(connection);
        objects.leave(Number(1));
        assert!(objects.leaving.is_empty());
    }

    #[test]
    fn users_of_a_profile_are_of_any_type() {
        let mut objects = Objects::default();
        let running = |profile: Option<&str>| Running { adaptor: Adaptor, ssl_profile: profile.map(str::to_owned) };
        objects.insert("a", running(Some("p")));
        objects.insert("b", running(Some("q")));
        objects.insert("c", running(None));
        objects.insert("d", Number(1));
        assert_eq!(["p", "q", "r"].map(|profile| objects.tls_users(profile).count()), [1, 1, 0]);
    }
}
