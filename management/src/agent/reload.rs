//! A changed configuration file, applied to a running router.
//!
//! What matters is how the file differs from what it said before: entities that were made or changed by requests stay as
//! they are. Steps are taken so that what others need is there first, and when one fails those before it are undone.
//!
//! ```text
//!  in both, the same ------------------> stays; the files of an sslProfile are read again
//!  in both, attributes differ --UPDATE-> updated           else CREATE and DELETE: replaced; else: at the next start
//!  only new ---------------------------> created           where there is CREATE; else: at the next start
//!  only old ---------------------------> deleted           where there is DELETE; else: at the next start
//! ```

use super::backend::Backend;
use super::failure::Failure;
use super::{Agent, FileEntity};
use crate::attributes::Attributes;
use crate::config::{BootPlan, EntityConfig};
use crate::notation::RawEntity;
use crate::schema::{EntityType, Identity};
use router_engine::log::{Level, LogModule};
use std::collections::{HashMap, HashSet, VecDeque};

/// What became of a changed file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Entities that were created.
    pub created: usize,
    /// Entities whose attributes were changed.
    pub updated: usize,
    /// Entities that were deleted and created anew.
    pub replaced: usize,
    /// Entities that were deleted.
    pub deleted: usize,
    /// What takes effect when the router starts again.
    pub pending: Vec<String>,
}

/// How the entities of a file differ from what it said before, by places in the old and new lists.
#[derive(Debug, Default)]
struct Difference {
    kept: Vec<(usize, usize)>,
    updated: Vec<(usize, usize)>,
    replaced: Vec<(usize, usize)>,
    created: Vec<usize>,
    deleted: Vec<usize>,
    /// Old places of what stays as it is although the file says otherwise.
    stays: Vec<usize>,
    pending: Vec<String>,
}

/// How a step is undone.
enum Undo {
    /// Removes the entity with that identity.
    Delete(String),
    /// Makes an entity anew, as the file had it.
    Create(EntityConfig),
    /// Gives the entity with that identity its former attributes.
    Update(String, Attributes),
}

// === impl Agent ===

impl<B: Backend> Agent<B> {
    /// Applies how a file differs from what it said when it was read before.
    ///
    /// # Errors
    /// What the first entity is refused for. Then all is as it was.
    pub fn reload(&mut self, plan: BootPlan) -> Result<Reloaded, Failure> {
        let new: Vec<EntityConfig> = plan.core.into_iter().chain(plan.rest).collect();
        let difference = Difference::of(&self.file, &new);
        let mut undo = Vec::new();
        match self.take_steps(&difference, &new, &mut undo) {
            Ok(file) => {
                self.file = file;
                Ok(difference.told())
            }
            Err(failure) => {
                for step in undo.into_iter().rev() {
                    self.undo(step);
                }
                Err(failure)
            }
        }
    }

    fn take_steps(
        &mut self,
        difference: &Difference,
        new: &[EntityConfig],
        undo: &mut Vec<Undo>,
    ) -> Result<Vec<FileEntity>, Failure> {
        let mut file: Vec<FileEntity> = difference.stays.iter().map(|old| self.file[*old].clone()).collect();
        let identity = |agent: &Self, old: usize| agent.file[old].identity.clone();
        for (old, at) in &difference.kept {
            let identity = identity(self, *old);
            if new[*at].ty == EntityType::SslProfile {
                self.read_again(&identity)?;
            }
            file.push(FileEntity { given: new[*at].clone(), identity });
        }
        for (old, at) in &difference.updated {
            let identity = self.change(&identity(self, *old), &new[*at], undo)?;
            file.push(FileEntity { given: new[*at].clone(), identity });
        }
        for at in &difference.created {
            let identity = self.make(&new[*at], undo)?;
            file.push(FileEntity { given: new[*at].clone(), identity });
        }
        for (old, _) in difference.replaced.iter().rev() {
            self.unmake(*old, undo)?;
        }
        for (_, at) in &difference.replaced {
            let identity = self.make(&new[*at], undo)?;
            file.push(FileEntity { given: new[*at].clone(), identity });
        }
        for old in difference.deleted.iter().rev() {
            self.unmake(*old, undo)?;
        }
        Ok(file)
    }

    fn make(&mut self, given: &EntityConfig, undo: &mut Vec<Undo>) -> Result<String, Failure> {
        let index = match given.ty.kind().copied() {
            Some(kind) => self.add_copy(kind, given.clone()),
            None => self.add(given.clone()),
        };
        let identity = self.store.get(index?).identity().to_owned();
        say(&format!("created {identity}"));
        undo.push(Undo::Delete(identity.clone()));
        Ok(identity)
    }

    /// Requests may have deleted it already.
    fn unmake(&mut self, old: usize, undo: &mut Vec<Undo>) -> Result<(), Failure> {
        let FileEntity { given, identity } = self.file[old].clone();
        if let Some(index) = self.store.find("identity", &identity)? {
            self.remove(index)?;
            say(&format!("deleted {identity}"));
            undo.push(Undo::Create(given));
        }
        Ok(())
    }

    /// Requests may have deleted it; then it is made.
    fn change(&mut self, identity: &str, given: &EntityConfig, undo: &mut Vec<Undo>) -> Result<String, Failure> {
        let Some(index) = self.store.find("identity", identity)? else { return self.make(given, undo) };
        let former = self.store.get(index).attributes.clone();
        let mut attributes = given.attributes.clone();
        for own in ["name", "identity"] {
            attributes.set(own, former.get(own).cloned().unwrap_or_default());
        }
        self.replace(index, attributes)?;
        say(&format!("updated {identity}"));
        undo.push(Undo::Update(identity.to_owned(), former));
        Ok(identity.to_owned())
    }

    /// What it has now, requests included, as the contents of its files may be new.
    fn read_again(&mut self, identity: &str) -> Result<(), Failure> {
        match self.store.find("identity", identity)? {
            Some(index) => self.replace(index, self.store.get(index).attributes.clone()),
            None => Ok(()),
        }
    }

    fn replace(&mut self, index: usize, attributes: Attributes) -> Result<(), Failure> {
        let entity = EntityConfig { ty: self.store.get(index).ty, attributes };
        self.backend.update(&entity)?;
        self.store.replace(index, entity.attributes);
        Ok(())
    }

    fn remove(&mut self, index: usize) -> Result<(), Failure> {
        let entity = self.store.get(index).clone();
        match entity.ty.kind().copied() {
            Some(kind) => kind.remove(entity.name(), &entity.attributes.clone().into_map(), &mut self.core()),
            None => self.backend.delete(&entity)?,
        }
        self.store.remove(index);
        Ok(())
    }

    fn undo(&mut self, step: Undo) {
        let index = |agent: &Self, identity: &str| agent.store.find("identity", identity).ok().flatten();
        let undone = match step {
            Undo::Delete(identity) => index(self, &identity).map_or(Ok(()), |index| self.remove(index)),
            Undo::Create(given) => self.make(&given, &mut Vec::new()).map(drop),
            Undo::Update(identity, former) => {
                index(self, &identity).map_or(Ok(()), |index| self.replace(index, former))
            }
        };
        if let Err(failure) = undone {
            let text = failure.text;
            router_engine::log!(LogModule::Agent, Level::Error, "Reload: what was done cannot be undone: {text}");
        }
    }
}

fn say(what: &str) {
    router_engine::log!(LogModule::Agent, Level::Info, "Reload: {what}");
}

// === impl Difference ===

impl Difference {
    fn of(old: &[FileEntity], new: &[EntityConfig]) -> Self {
        let mut known: HashMap<(EntityType, String), VecDeque<usize>> = HashMap::new();
        for (at, entity) in old.iter().enumerate() {
            known.entry(label(&entity.given)).or_default().push_back(at);
        }
        let mut difference = Self::default();
        for (at, entity) in new.iter().enumerate() {
            match known.get_mut(&label(entity)).and_then(VecDeque::pop_front) {
                Some(before) => difference.compare((before, &old[before].given), (at, entity)),
                None if entity.ty.offers("CREATE") => difference.created.push(at),
                None => difference.wait(None, format!("a new {}", entity.ty.short())),
            }
        }
        let mut gone: Vec<usize> = known.into_values().flatten().collect();
        gone.sort_unstable();
        for at in gone {
            match old[at].given.ty {
                ty if ty.offers("DELETE") => difference.deleted.push(at),
                ty => difference.wait(Some(at), format!("no {}", ty.short())),
            }
        }
        difference.replace_addresses(old, new);
        difference
    }

    fn compare(&mut self, (before, old): (usize, &EntityConfig), (at, new): (usize, &EntityConfig)) {
        let changed = changed(&old.attributes, &new.attributes);
        let may_update = |name: &&String| new.ty.attribute(name).is_some_and(|attribute| attribute.update);
        if changed.is_empty() {
            self.kept.push((before, at));
        } else if new.ty.offers("UPDATE") && changed.iter().all(|name| may_update(&name)) {
            self.updated.push((before, at));
        } else if new.ty.offers("CREATE") && new.ty.offers("DELETE") && !new.ty.def().referential {
            self.replaced.push((before, at));
        } else {
            self.wait(Some(before), format!("{} of {} {}", changed.join(", "), new.ty.short(), new.name()));
        }
    }

    fn wait(&mut self, stays: Option<usize>, what: String) {
        self.stays.extend(stays);
        self.pending.push(what.trim_end().to_owned());
    }

    /// What belongs to a listener goes and comes with it.
    fn replace_addresses(&mut self, old: &[FileEntity], new: &[EntityConfig]) {
        let listeners = self.replaced.iter().filter(|(_, at)| new[*at].ty == EntityType::TcpListener);
        let listeners: HashSet<&str> = listeners.map(|(_, at)| new[*at].name()).collect();
        let belongs = |(before, _): &(usize, usize)| {
            let given = &old[*before].given;
            given.ty == EntityType::ListenerAddress
                && given.attributes.text("listener").is_some_and(|listener| listeners.contains(listener))
        };
        let (moved, kept) = std::mem::take(&mut self.kept).into_iter().partition(belongs);
        self.kept = kept;
        let moved: Vec<_> = moved;
        self.replaced.extend(moved);
    }

    fn told(self) -> Reloaded {
        Reloaded {
            created: self.created.len(),
            updated: self.updated.len(),
            replaced: self.replaced.len(),
            deleted: self.deleted.len(),
            pending: self.pending,
        }
    }
}

/// What makes an entity of a file the same as one that it had before.
fn label(entity: &EntityConfig) -> (EntityType, String) {
    let a = &entity.attributes;
    let label = match entity.ty.def().identity {
        _ if entity.ty.def().singleton => String::new(),
        _ if !entity.name().is_empty() => format!("name {}", entity.name()),
        Identity::Attribute(name) | Identity::Name(name) => a.string(name),
        Identity::Attributes(first, second) => format!("{} {}", a.string(first), a.string(second)),
        Identity::Number => RawEntity(entity.ty, a).to_string(),
        Identity::None | Identity::Text(_) => String::new(),
    };
    (entity.ty, label)
}

/// The names of attributes that are not the same.
fn changed(old: &Attributes, new: &Attributes) -> Vec<String> {
    let differs = new.iter().filter(|(name, value)| old.get(name) != Some(value)).map(|(name, _)| name);
    let gone = old.iter().filter(|(name, _)| new.get(name).is_none()).map(|(name, _)| name);
    differs.chain(gone).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, agent_of};
    use super::*;
    use crate::config::parse;

    const ROUTER: &str = "router {\n id: R1\n mode: interior\n}\n";

    fn plan(text: &str) -> BootPlan {
        BootPlan::new(parse(text, false).expect("valid")).expect("no directory is read")
    }

    fn router_with(text: &str) -> Agent<Fake> {
        let mut agent = agent_of(&format!("{ROUTER}{text}"));
        agent.backend().calls.clear();
        agent
    }

    fn calls(agent: &mut Agent<Fake>, text: &str) -> (Reloaded, Vec<String>) {
        let reloaded = agent.reload(plan(&format!("{ROUTER}{text}"))).expect("accepted");
        (reloaded, std::mem::take(&mut agent.backend().calls))
    }

    const LISTENER: &str = "tcpListener {\n name: l\n port: 1\n address: a\n}\n";
    const CONNECTOR: &str = "tcpConnector {\n name: c\n host: h\n port: 2\n address: a\n}\n";

    #[test]
    fn what_is_the_same_is_left_alone() {
        let both = format!("{LISTENER}{CONNECTOR}address {{\n prefix: x\n}}\n");
        let mut agent = router_with(&both);
        assert_eq!(calls(&mut agent, &both), (Reloaded::default(), vec![]));
    }

    #[test]
    fn certificates_are_read_again_whatever_the_file_says() {
        let profile = "sslProfile {\n name: p\n}\n";
        let mut agent = router_with(profile);
        assert_eq!(calls(&mut agent, profile), (Reloaded::default(), vec!["update sslProfile/p".to_owned()]));
        agent.backend().refuses = "sslProfile";
        let text = format!("{ROUTER}{profile}{LISTENER}");
        agent.reload(plan(&text)).expect_err("files that are of no use");
        assert_eq!(agent.backend().calls, [""; 0]);
    }

    #[test]
    fn entities_come_go_and_change() {
        let mut agent = router_with(LISTENER);
        let (reloaded, made) = calls(&mut agent, &format!("{LISTENER}{CONNECTOR}"));
        assert_eq!((reloaded.created, made), (1, vec!["create tcpConnector/h:2:c".to_owned()]));
        let observed = LISTENER.replace("port", "observer: none\n port");
        let (reloaded, made) = calls(&mut agent, &observed);
        assert_eq!((reloaded.updated, reloaded.deleted), (1, 1));
        assert_eq!(
            made,
            ["update tcpListener/0.0.0.0:1:l", "delete tcpConnector/h:2:c"].map(|c| c.replace("0.0.0.0", ""))
        );
        let moved = observed.replace("port: 1", "port: 3");
        let (reloaded, made) = calls(&mut agent, &moved);
        assert_eq!(reloaded.replaced, 1);
        assert_eq!(made, ["delete tcpListener/:1:l", "create tcpListener/:3:l"]);
        assert_eq!(calls(&mut agent, &moved), (Reloaded::default(), vec![]));
    }

    #[test]
    fn logs_go_back_to_what_holds_without_them() {
        let mut agent = router_with("log {\n module: AGENT\n enable: debug+\n}\n");
        let (reloaded, made) = calls(&mut agent, "");
        assert_eq!((reloaded.updated, made), (1, vec!["update log/AGENT".to_owned()]));
    }

    #[test]
    fn addresses_and_auto_links_of_the_core() {
        let mut agent = router_with("address {\n prefix: x\n}\naddress {\n name: n\n prefix: y\n}\n");
        let (reloaded, _) = calls(&mut agent, "address {\n prefix: z\n}\naddress {\n name: n\n prefix: w\n}\n");
        assert_eq!((reloaded.created, reloaded.deleted, reloaded.replaced), (1, 1, 1));
        let mut patterns: Vec<_> = agent.backend().patterns.iter().cloned().collect();
        patterns.sort();
        assert_eq!(patterns, ["w/#", "z/#"]);
    }

    #[test]
    fn what_cannot_change_now_is_named_each_time() {
        let mut agent = router_with("");
        let changed = format!("{}{LISTENER}", ROUTER.replace("id: R1", "id: R2\n workerThreads: 7"));
        for created in [1, 0] {
            let reloaded = agent.reload(plan(&changed)).expect("accepted");
            assert_eq!(reloaded.created, created);
            assert_eq!(reloaded.pending, ["id, workerThreads of router"]);
        }
    }

    #[test]
    fn addresses_of_a_listener_go_and_come_with_it() {
        let listener = |port| format!("tcpListener {{\n name: l\n port: {port}\n multiAddressStrategy: priority\n}}\n");
        let address = "listenerAddress {\n name: a\n listener: l\n address: x\n value: 1\n}\n";
        let mut agent = router_with(&(listener(1) + address));
        let (_, made) = calls(&mut agent, &(listener(2) + address));
        let steps = ["delete listenerAddress/l:x:a", "delete tcpListener/:1:l", "create tcpListener/:2:l"];
        assert_eq!(made, steps.into_iter().chain(["create listenerAddress/l:x:a"]).collect::<Vec<_>>());
    }

    #[test]
    fn what_requests_have_made_stays_and_what_they_have_deleted_may_be_gone() {
        let mut agent = router_with(&format!("{LISTENER}{CONNECTOR}"));
        let request = [("operation", "DELETE"), ("type", "tcpConnector"), ("name", "c")];
        super::super::fake::call(&mut agent, &request, amqp_core::value::Map::new());
        let request = [("operation", "CREATE"), ("type", "tcpConnector"), ("name", "own")];
        let body = [("host", "h"), ("port", "9"), ("address", "b")].into_iter().collect::<amqp_core::value::Map>();
        super::super::fake::call(&mut agent, &request, body);
        agent.backend().calls.clear();
        let (reloaded, made) = calls(&mut agent, LISTENER);
        assert_eq!((reloaded.deleted, made), (1, vec![]));
        assert!(matches!(agent.store.find("name", "own"), Ok(Some(_))));
    }

    #[test]
    fn after_a_refusal_all_is_as_it_was() {
        let before = format!("{LISTENER}address {{\n prefix: x\n}}\n");
        let mut agent = router_with(&before);
        agent.backend().refuses = "tcpConnector";
        let observed = LISTENER.replace("port", "observer: none\n port");
        let text = format!("{ROUTER}{observed}{CONNECTOR}address {{\n prefix: y\n}}\n");
        let refusal = agent.reload(plan(&text)).expect_err("refused").text;
        assert_eq!(refusal, "Configuration: no");
        let undone = ["update tcpListener/:1:l", "update tcpListener/:1:l"];
        assert_eq!(agent.backend().calls, undone);
        assert_eq!(agent.backend().patterns.iter().collect::<Vec<_>>(), ["x/#"]);
        agent.backend().calls.clear();
        assert_eq!(calls(&mut agent, &before), (Reloaded::default(), vec![]));
    }
}
