//! The entities that the agent keeps.

use super::failure::{Failure, Status};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::schema::{EntityType, Identity};
use amqp_core::Value;
use std::collections::HashMap;

/// Stands in identities for what an entity does not have.
const NONE: &str = "None";

/// Entities in the order in which they came to be.
#[derive(Debug, Default)]
pub(super) struct Store {
    entities: Vec<EntityConfig>,
    counters: HashMap<EntityType, u64>,
}

// === impl Store ===

impl Store {
    pub(super) fn iter(&self) -> impl Iterator<Item = &EntityConfig> {
        self.entities.iter()
    }

    pub(super) fn of_type(&self, ty: EntityType) -> impl Iterator<Item = &EntityConfig> {
        self.entities.iter().filter(move |e| e.ty == ty)
    }

    /// Returns the place of the entity.
    pub(super) fn push(&mut self, entity: EntityConfig) -> usize {
        self.entities.push(entity);
        self.entities.len() - 1
    }

    pub(super) fn get(&self, index: usize) -> &EntityConfig {
        &self.entities[index]
    }

    pub(super) fn replace(&mut self, index: usize, attributes: Attributes) {
        self.entities[index].attributes = attributes;
    }

    pub(super) fn remove(&mut self, index: usize) -> EntityConfig {
        self.entities.remove(index)
    }

    /// The one entity whose attribute has that value.
    pub(super) fn find(&self, key: &str, value: &str) -> Result<Option<usize>, Failure> {
        let matches = |e: &EntityConfig| e.attributes.text(key) == Some(value);
        let mut found = self.entities.iter().enumerate().filter(|(_, e)| matches(e)).map(|(i, _)| i);
        let first = found.next();
        match found.count() {
            0 => Ok(first),
            more => Err(Failure {
                status: Status::InternalError,
                class: "InternalServerErrorStatus",
                text: format!("Duplicate ({}) entities with {key}={value}", more + 1),
            }),
        }
    }

    /// Sets identity, and name when there is none. What the identity is made of must be there.
    pub(super) fn assign_names(&mut self, ty: EntityType, attributes: &mut Attributes) {
        let own_id = self.own_id(ty, attributes);
        let identity = match ty.def().identity {
            Identity::Text(text) => text.to_owned(),
            _ => format!("{}/{own_id}", ty.identity_prefix()),
        };
        attributes.set("identity", identity.as_str());
        if attributes.get("name").is_none() {
            let name = if matches!(ty.def().identity, Identity::Name(_)) { own_id } else { identity };
            attributes.set("name", name);
        }
    }

    /// What the identity consists of behind the type.
    fn own_id(&mut self, ty: EntityType, a: &Attributes) -> String {
        let text = |name| a.text(name).unwrap_or(NONE);
        match ty.def().identity {
            Identity::Number => self.next_number(ty).to_string(),
            Identity::Attribute(name) | Identity::Name(name) => text(name).to_owned(),
            Identity::Attributes(first, second) => {
                let name = a.text("name").map(|name| format!(":{name}")).unwrap_or_default();
                format!("{}:{}{name}", text(first), text(second))
            }
            Identity::None | Identity::Text(_) => NONE.to_owned(),
        }
    }

    fn next_number(&mut self, ty: EntityType) -> u64 {
        let next = self.counters.entry(ty).or_default();
        *next += 1;
        *next - 1
    }

    /// Makes the entities of a type be those of `rows`: present ones are updated in their place.
    pub(super) fn sync(&mut self, ty: EntityType, rows: Vec<Attributes>) {
        let mut fresh: Vec<Attributes> = rows
            .into_iter()
            .map(|row| {
                let mut attributes = Attributes::new().with("type", ty.full());
                for (name, value) in row {
                    attributes.set(name, value);
                }
                self.assign_names(ty, &mut attributes);
                // What is no attribute was only needed for the identity.
                attributes.retain(|name, _| ty.attribute(name).is_some());
                attributes
            })
            .collect();
        self.entities.retain_mut(|entity| {
            if entity.ty != ty {
                return true;
            }
            let identity = entity.attributes.get("identity").cloned().unwrap_or(Value::Null);
            let Some(at) = fresh.iter().position(|a| a.get("identity") == Some(&identity)) else { return false };
            entity.attributes = fresh.remove(at);
            true
        });
        self.entities.extend(fresh.into_iter().map(|attributes| EntityConfig { ty, attributes }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EntityType::*;

    fn named(store: &mut Store, ty: EntityType, given: &[(&'static str, &str)]) -> (String, String) {
        let mut attributes: Attributes = given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        store.assign_names(ty, &mut attributes);
        (attributes.string("identity"), attributes.string("name"))
    }

    #[test]
    fn identities_and_names_of_all_types() {
        let socket: &[_] = &[("host", "h"), ("port", "1")];
        for (ty, given, identity) in [
            (Management, &[][..], "self"),
            (Router, &[("id", "R")], "router/R"),
            (Router, &[], "router/None"),
            (Network, &[], "network/0"),
            (Site, &[("location", "x")], "site/None"),
            (SslProfile, &[], "sslProfile/None"),
            (ProxyProfile, &[], "proxyProfile/None"),
            (Listener, socket, "listener/h:1"),
            (Connector, socket, "connector/h:1"),
            (TcpListener, socket, "tcpListener/h:1"),
            (TcpConnector, socket, "tcpConnector/h:1"),
            (Listener, &[("host", ""), ("port", "1")], "listener/:1"),
            (ListenerAddress, &[("listener", "l"), ("address", "a")], "listenerAddress/l:a"),
            (Log, &[("module", "AGENT")], "log/AGENT"),
            (ConfigAddress, &[], "address/0"),
            (AutoLink, &[], "autoLink/0"),
            (Node, &[("id", "R")], "router.node/R"),
            (Allocator, &[("typeName", "t")], "allocator/t"),
            (Policy, &[], "policy/None"),
            (Vhost, &[("hostname", "v")], "vhost/v"),
            (VhostStats, &[("hostname", "v")], "vhostStats/v"),
            (Dummy, &[], "dummy/0"),
        ] {
            let expected = (identity.to_owned(), identity.to_owned());
            assert_eq!(named(&mut Store::default(), ty, given), expected, "{ty}");
        }
        let stats = named(&mut Store::default(), LogStats, &[("module", "AGENT")]);
        assert_eq!(stats, ("logStats/AGENT".to_owned(), "AGENT".to_owned()));
    }

    #[test]
    fn a_name_is_part_of_some_identities() {
        for (ty, given, identity) in [
            (Listener, &[("host", "h"), ("port", "1"), ("name", "n")][..], "listener/h:1:n"),
            (ListenerAddress, &[("listener", "l"), ("address", "a"), ("name", "n")], "listenerAddress/l:a:n"),
            (SslProfile, &[("name", "n")], "sslProfile/n"),
            (Router, &[("id", "R"), ("name", "n")], "router/R"),
            (Dummy, &[("name", "n")], "dummy/0"),
        ] {
            let expected = (identity.to_owned(), "n".to_owned());
            assert_eq!(named(&mut Store::default(), ty, given), expected, "{ty}");
        }
    }

    #[test]
    fn each_type_counts_for_itself_and_never_back() {
        let mut store = Store::default();
        let mut next = |ty| named(&mut store, ty, &[]).0;
        let identities = [next(Dummy), next(Dummy), next(ConfigAddress), next(Dummy)];
        assert_eq!(identities, ["dummy/0", "dummy/1", "address/0", "dummy/2"]);
    }

    #[test]
    fn what_comes_and_goes_keeps_its_place_while_it_is_there() {
        let mut store = Store::default();
        let rows = |ids: &[&str]| ids.iter().map(|id| Attributes::new().with("id", *id).with("odd", 1)).collect();
        for (ids, expected) in
            [(&["A", "B", "C"][..], "A B C"), (&["D", "C", "A"], "A C D"), (&["D"], "D"), (&[], ""), (&["A"], "A")]
        {
            store.sync(Node, rows(ids));
            let found: Vec<_> = store.of_type(Node).filter_map(|e| e.attributes.text("id")).collect();
            assert_eq!(found.join(" "), expected);
        }
        // What the schema does not know was for the identity only.
        assert!(store.of_type(Node).all(|e| e.attributes.get("odd").is_none()));
    }
}
