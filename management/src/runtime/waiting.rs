//! Entities of the configuration file whose certificates are not there yet.
//!
//! In a container a router may start before whoever brings its certificates has done so. With
//! [`Runtime::await_certificates`] that is no reason to end: what needs them comes to be once they are there. Files are
//! not watched: they are looked at now and then while somebody waits, and when their profile is updated.
//!
//! ```text
//!  file's entity --files there--> made
//!        |                          ^
//!        '--missing--> waits --there, or their profile is updated
//!                       | ^
//!                       '-'-- of no use (half written): until they have changed
//! ```

use super::Runtime;
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::entity::ssl_profile;
use crate::schema::EntityType;
use router_engine::log::{Level, LogModule};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// An entity that waits.
pub(super) struct Waiting {
    entity: EntityConfig,
    /// What for.
    reason: String,
    /// The files as they were when they were of no use, and when that was.
    tried: Option<(Vec<Print>, Instant)>,
}

/// What tells whether a file has changed: the seconds and nanoseconds of its last change, of its rights too, and its length.
type Print = (i64, i64, u64);

/// What was of no use is tried again after that time, whatever the files look like: it may be for something else, as a
/// password file or one below a directory.
const ANYWAY: Duration = Duration::from_secs(30);

// === impl Runtime ===

impl Runtime {
    /// From here on, until the start is over, entities of the configuration file may wait for the files of their sslProfile.
    pub fn await_certificates(&mut self) {
        self.awaits_certificates = true;
    }

    /// Whether an entity waits.
    pub(crate) fn is_waiting(&self, entity: &EntityConfig) -> bool {
        self.waiting_one(entity).is_some()
    }

    /// Whether a `listenerAddress` waits for the listener of that name.
    pub(crate) fn address_waits_for(&self, listener: &str) -> bool {
        self.waiting.iter().any(|waiting| of_listener(&waiting.entity) == Some(listener))
    }

    fn waiting_one(&self, entity: &EntityConfig) -> Option<&Waiting> {
        self.waiting.iter().find(|waiting| is_same(&waiting.entity, entity))
    }

    /// Keeps an entity that cannot be made yet. False: it can.
    pub(super) fn keep_waiting(&mut self, entity: &EntityConfig) -> bool {
        let may_wait = self.awaits_certificates || of_listener(entity).is_some();
        let Some(reason) = may_wait.then(|| self.reason_to_wait(entity)).flatten() else { return false };
        let (kind, name) = (entity.ty.short(), entity.name());
        router_engine::log!(LogModule::Agent, Level::Warning, "{kind} {name} waits: {reason}");
        self.waiting.push(Waiting { entity: entity.clone(), reason, tried: None });
        true
    }

    fn reason_to_wait(&self, entity: &EntityConfig) -> Option<String> {
        if let Some(listener) = of_listener(entity) {
            let is_it =
                |waiting: &Waiting| waiting.entity.ty == EntityType::TcpListener && waiting.entity.name() == listener;
            return self.waiting.iter().any(is_it).then(|| format!("tcpListener {listener} waits"));
        }
        ssl_profile::files(self, &entity.attributes)
            .into_iter()
            .find_map(|(attribute, path)| (print(&path).2 == 0).then(|| format!("{attribute} '{path}' is not there")))
    }

    /// Makes what has waited and need not any more. True while something waits.
    pub(super) fn retry_waiting(&mut self) -> bool {
        for waiting in std::mem::take(&mut self.waiting) {
            // What it waits for stands before it.
            if let Some(waiting) = self.try_again(waiting) {
                self.waiting.push(waiting);
            }
        }
        !self.waiting.is_empty()
    }

    fn try_again(&mut self, waiting: Waiting) -> Option<Waiting> {
        if let Some(reason) = self.reason_to_wait(&waiting.entity) {
            return Some(Waiting { reason, ..waiting });
        }
        let files = ssl_profile::files(self, &waiting.entity.attributes);
        let prints: Vec<Print> = files.iter().map(|(_, path)| print(path)).collect();
        let is_known = |(tried, at): &(Vec<Print>, Instant)| *tried == prints && at.elapsed() < ANYWAY;
        if waiting.tried.as_ref().is_some_and(is_known) {
            return Some(waiting);
        }
        let entity = &waiting.entity;
        let (kind, name) = (entity.ty.short(), entity.name());
        match entity.ty.kind().create(self, entity) {
            Ok(()) => {
                router_engine::log!(LogModule::Agent, Level::Info, "{kind} {name} has what it waited for");
                None
            }
            // It has logged why. A file may have been half written.
            Err(error) => Some(Waiting { reason: error.to_string(), tried: Some((prints, Instant::now())), ..waiting }),
        }
    }

    /// Applies changed attributes to an entity that waits. False: it does not.
    pub(super) fn update_waiting(&mut self, entity: &EntityConfig) -> bool {
        let waiting = self.waiting.iter_mut().find(|waiting| is_same(&waiting.entity, entity));
        waiting.map(|waiting| waiting.entity = entity.clone()).is_some()
    }

    pub(super) fn forget_waiting(&mut self, entity: &EntityConfig) {
        self.waiting.retain(|waiting| !is_same(&waiting.entity, entity));
    }

    /// Live attributes of an entity that waits, as far as its type has them.
    pub(super) fn live_waiting(&self, entity: &EntityConfig) -> Option<Attributes> {
        let waiting = self.waiting_one(entity)?;
        let shown =
            [("operStatus", "down"), ("connectionStatus", "CONNECTING"), ("connectionMsg", waiting.reason.as_str())];
        let shown = shown.into_iter().filter(|(name, _)| entity.ty.attribute(name).is_some());
        Some(shown.map(|(name, text)| (name.into(), text.into())).collect())
    }
}

fn is_same(one: &EntityConfig, other: &EntityConfig) -> bool {
    one.ty == other.ty && one.identity() == other.identity()
}

/// The listener that a `listenerAddress` belongs to.
fn of_listener(entity: &EntityConfig) -> Option<&str> {
    (entity.ty == EntityType::ListenerAddress).then(|| entity.attributes.text("listener"))?
}

/// What is not there is as good as empty.
fn print(path: &str) -> Print {
    match fs::metadata(path) {
        Ok(found) => (found.ctime(), found.ctime_nsec(), if found.is_dir() { 1 } else { found.len() }),
        Err(_) => (0, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Agent, Backend};
    use crate::config::{BootPlan, parse};
    use std::path::PathBuf;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("waiting-{}-{test}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            Self(folder)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).expect("written");
        }

        /// A certificate that signs itself, and its key, in the files of the profile.
        fn certify(&self) {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
            self.write("ca.crt", &made.cert.pem());
            self.write("tls.crt", &made.cert.pem());
            self.write("tls.key", &made.signing_key.serialize_pem());
        }
    }

    const USERS: &str = "listener {\n name: l\n host: 127.0.0.1\n port: 0\n sslProfile: p\n}\n\
        connector {\n name: c\n role: inter-router\n host: 127.0.0.1\n port: 1\n sslProfile: p\n}\n\
        tcpListener {\n name: t\n host: 127.0.0.1\n port: 0\n multiAddressStrategy: priority\n sslProfile: p\n}\n\
        listenerAddress {\n name: a\n listener: t\n address: x\n value: 1\n}\n\
        tcpConnector {\n name: s\n host: 127.0.0.1\n port: 1\n address: x\n sslProfile: p\n}\n";

    fn started(folder: &Folder, executor: &tokio::runtime::Runtime, awaits: bool) -> Result<Agent<Runtime>, String> {
        let path = |name: &str| folder.0.join(name).display().to_string();
        let (ca, certificate, key) = (path("ca.crt"), path("tls.crt"), path("tls.key"));
        let text = format!(
            "router {{\n mode: interior\n id: R\n}}\nsslProfile {{\n name: p\n caCertFile: {ca}\n certFile: \
             {certificate}\n privateKeyFile: {key}\n}}\n{USERS}"
        );
        let plan = BootPlan::new(parse(&text, false).expect("valid")).expect("a plan");
        let mut runtime = Runtime::new(executor.handle().clone());
        if awaits {
            runtime.await_certificates();
        }
        let mut agent = Agent::new(runtime);
        for entities in [plan.core, plan.rest] {
            agent.load_all(entities).map_err(|error| error.to_string())?;
        }
        Ok(agent)
    }

    fn executor() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("an executor")
    }

    #[test]
    fn what_needs_certificates_waits_for_them() {
        let (folder, executor) = (Folder::new("later"), executor());
        let mut agent = started(&folder, &executor, true).expect("it starts");
        assert!(agent.backend().finish_boot());
        let waiting = |agent: &mut Agent<Runtime>| agent.backend().waiting.len();
        assert_eq!(waiting(&mut agent), 5);
        let connector = agent.backend().waiting[0].entity.clone();
        let shown = agent.backend().live(&connector);
        assert_eq!(shown.text("connectionStatus"), Some("CONNECTING"));
        assert!(shown.text("connectionMsg").is_some_and(|text| text.ends_with("ca.crt' is not there")));
        // As they are written one after the other, cut first.
        folder.write("ca.crt", "");
        folder.write("tls.crt", "half a ");
        folder.write("tls.key", "key");
        assert!(agent.backend().retry());
        assert_eq!(waiting(&mut agent), 5);
        folder.write("ca.crt", "half");
        assert!(agent.backend().retry());
        assert_eq!(waiting(&mut agent), 5);
        folder.certify();
        assert!(!agent.backend().retry());
        let shown = agent.backend().live(&connector);
        assert!(!shown.text("connectionMsg").is_some_and(|text| text.contains("is not there")), "{shown:?}");
    }

    #[test]
    fn without_being_told_to_wait_the_router_does_not_start() {
        let (folder, executor) = (Folder::new("now"), executor());
        let error = started(&folder, &executor, false).err().expect("refused");
        assert!(error.contains("ca.crt"), "{error}");
    }

    #[test]
    fn what_waits_can_be_deleted() {
        let (folder, executor) = (Folder::new("deleted"), executor());
        let mut agent = started(&folder, &executor, true).expect("it starts");
        let backend = agent.backend();
        let entities: Vec<EntityConfig> = backend.waiting.iter().map(|waiting| waiting.entity.clone()).collect();
        let listener = entities.iter().find(|entity| entity.ty == EntityType::TcpListener).expect("waits");
        backend.delete(listener).expect_err("it has an address");
        for entity in entities.iter().rev() {
            backend.delete(entity).expect("deleted");
        }
        assert!(!backend.retry());
    }
}
