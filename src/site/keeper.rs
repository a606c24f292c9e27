//! Keeps a router in accord with a folder of resources, and tells how it stands.

use super::certificates::{self, Maker, Outcome};
use super::home::{self, Former, Home};
use super::observer::Observer;
use super::watch::{self, Watch};
use super::{complain, shown, shown_time};
use adaptors::random;
use adaptors::runtime::Io;
use management::config::Reloader;
use management::config::audit::audit;
use router_engine::VERSION;
use site::{Entity, Folder, Key, Kind, Observed, Plan, Statuses, Surroundings, skrouterd_json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How often the router is asked how it stands.
const TICK: Duration = Duration::from_secs(1);

/// How often certificates are looked at.
const DAY: Duration = Duration::from_secs(24 * 3600);

const CONFIG: &str = "runtime/router/skrouterd.json";
const CANDIDATE: &str = "runtime/router/candidate.json";
const STATUS: &str = "runtime/status.json";
/// Where Skupper's tools look for the same, a file for each resource.
const STATES: &str = "runtime/resources";

/// See the module documentation.
pub(super) struct Keeper {
    folders: Vec<PathBuf>,
    home: Home,
    folder: Folder,
    surroundings: Surroundings,
    plan: Plan,
    /// What was refused, and why.
    faults: BTreeMap<Key, String>,
    /// Whose credentials are those of before, and why.
    stale: BTreeMap<Key, String>,
    expirations: BTreeMap<String, String>,
    statuses: Statuses,
    /// What the files of states follow from; None when there is more to it, or they could not be written.
    told: Option<Observed>,
    /// Why they could not be written, if so.
    untold: Option<String>,
    /// What the router was told last.
    config: String,
    watch: Watch,
    is_watched: bool,
}

/// What a plan has to know. Names and ports are those of the last run, where there was one.
pub(super) fn surroundings(home: &Home, folder: &Folder, namespace: &str) -> Surroundings {
    let Former { site_id, router_id, ports } = home.former();
    let name = folder.site_name().unwrap_or_default();
    let is_own = |id: &String| id.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
    let now = OffsetDateTime::now_utc();
    let fresh = || format!("{name}-{}-{}", now.unix_timestamp(), now.nanosecond());
    let mut taken = BTreeSet::new();
    let mut port = |listener: String, first: u16| {
        let port = ports.get(&listener).copied().unwrap_or_else(|| home::free_port(first, &taken));
        taken.insert(port);
        port
    };
    let link_ports = (port(format!("{name}-inter-router"), 55671), port(format!("{name}-edge"), 45671));
    Surroundings {
        site_id: folder.site_id().map(str::to_owned).or(site_id).unwrap_or_else(random::uuid),
        router_id: router_id.filter(is_own).unwrap_or_else(fresh),
        namespace: namespace.to_owned(),
        home: shown(&home.path("")).trim_end_matches('/').to_owned(),
        version: VERSION.to_owned(),
        is_edge: None,
        local_port: port("skupper-local-normal".to_owned(), 5671),
        link_ports,
        names: home::own_names(),
        certs: home.brought("input/certs"),
        used: home.brought("runtime/certs"),
        issuers: home.brought("input/issuers").into_keys().collect(),
    }
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(folders: Vec<PathBuf>, home: Home, folder: Folder, namespace: &str) -> io::Result<Self> {
        let surroundings = surroundings(&home, &folder, namespace);
        let mut keeper = Self {
            folders,
            home,
            folder,
            surroundings,
            plan: Plan::default(),
            faults: BTreeMap::new(),
            stale: BTreeMap::new(),
            expirations: BTreeMap::new(),
            statuses: Statuses::default(),
            told: None,
            untold: None,
            config: String::new(),
            watch: Watch::new()?,
            is_watched: true,
        };
        // Before the first look, so that nothing is missed between the two.
        keeper.watch_folders();
        Ok(keeper)
    }

    pub(super) fn site_id(&self) -> &str {
        &self.surroundings.site_id
    }

    /// Writes the configuration to start the router with; its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn begin(&mut self) -> io::Result<PathBuf> {
        self.read();
        let config = self.prepare()?;
        self.adopt(config)?;
        self.surroundings.is_edge = self.folder.is_edge();
        self.forget();
        self.tell(&Observed::default());
        Ok(self.home.path(CONFIG))
    }

    /// Goes on until the router stops.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn keep(mut self, io: &Io, reloader: &Reloader) -> io::Result<JoinHandle<()>> {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let observer = Observer::join(io)?;
        let (io, reloader) = (io.clone(), reloader.clone());
        Builder::new().name("site".to_owned()).spawn(move || {
            executor.block_on(async {
                tokio::select! {
                    () = self.run(observer, &reloader) => {}
                    () = io.stopped() => {}
                }
            });
            self.tell(&Observed::default());
        })
    }

    async fn run(&mut self, mut observer: Observer, reloader: &Reloader) {
        let changed = Arc::clone(&self.watch.changed);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut days = interval(DAY);
        days.tick().await;
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return complain(&error.to_string()),
        };
        loop {
            tokio::select! {
                () = observer.listen() => continue,
                _ = ticks.tick() => {
                    observer.tick();
                    // A folder that was not there may be there again.
                    if !self.is_watched && self.watch_folders() {
                        self.apply(reloader).await;
                    }
                }
                () = changed.notified() => {
                    watch::rest(&changed).await;
                    self.apply(reloader).await;
                }
                _ = days.tick() => self.apply(reloader).await,
                _ = hangup.recv() => self.apply(reloader).await,
            }
            self.tell(&observer.observed(self.site_id()));
        }
    }

    /// Looks at the folders again, and has the router do what is new.
    async fn apply(&mut self, reloader: &Reloader) {
        self.watch_folders();
        self.read();
        let config = match self.prepare() {
            Ok(config) => config,
            Err(error) => return complain(&format!("nothing is applied: {error}")),
        };
        let former = std::mem::take(&mut self.config);
        let is_refused = match self.adopt(config) {
            Ok(()) => reloader.apply().await.ok().and_then(Result::err),
            Err(error) => Some(error.to_string()),
        };
        let Some(why) = is_refused else { return self.forget() };
        complain(&format!("the router refuses what is new: {why}"));
        // What the file says is what the router does: the next start begins there.
        let restored = home::write(&self.home.path(CONFIG), former.as_bytes());
        if let Err(error) = restored {
            complain(&error.to_string());
        }
        self.config = former;
        let site = self.folder.site_name().unwrap_or_default().to_owned();
        self.faults.insert(Key { kind: Kind::Site, name: site }, format!("the router refuses what is new: {why}"));
    }

    /// Whether all folders are watched.
    fn watch_folders(&mut self) -> bool {
        let below = |folder: &str| {
            let names = self.home.brought(folder).into_keys();
            names.map(|name| self.home.path(folder).join(name)).collect::<Vec<_>>()
        };
        let inputs = ["input/certs", "input/issuers"];
        let own = inputs.map(|folder| self.home.path(folder)).into_iter();
        let folders = self.folders.iter().cloned().chain(own).chain(inputs.into_iter().flat_map(below));
        let was_watched = std::mem::replace(&mut self.is_watched, true);
        for folder in folders {
            if let Err(error) = self.watch.folder(&folder) {
                self.is_watched = false;
                if was_watched {
                    complain(&format!("{} is not watched: {error}", folder.display()));
                }
            }
        }
        self.is_watched
    }

    /// Reads the resources. When a folder cannot be read, they stay as they were.
    fn read(&mut self) {
        self.told = None;
        let known = self.folder.findings().to_vec();
        match super::read(&self.folders) {
            Ok(sources) => self.folder.update(sources),
            Err(error) => return complain(&error),
        }
        super::tell_findings(self.folder.findings(), &known);
    }

    /// Makes a plan, the credentials and the links for other sites; the text of the router's configuration.
    fn prepare(&mut self) -> io::Result<String> {
        if self.folder.site_name().is_none() {
            let text = "there is no Site: what was in force before stays so";
            self.faults = self.folder.keys().map(|key| (key.clone(), text.to_owned())).collect();
            return Err(io::Error::other("there is no Site"));
        }
        self.surroundings.certs = self.home.brought("input/certs");
        self.surroundings.used = self.home.brought("runtime/certs");
        self.surroundings.issuers = self.home.brought("input/issuers").into_keys().collect();
        self.plan = Plan::new(&self.folder, &self.surroundings);
        let Outcome { failed, faults, stale, expirations } =
            Maker::new(&self.home, OffsetDateTime::now_utc()).make(&self.plan);
        (self.faults, self.stale, self.expirations) = (faults, stale, expirations);
        let config = self.accepted(&failed)?;
        self.write_links(&failed);
        Ok(config)
    }

    /// The configuration without what the router would refuse.
    fn accepted(&mut self, failed: &BTreeMap<String, String>) -> io::Result<String> {
        let candidate = self.home.path(CANDIDATE);
        loop {
            let is_sound = |entity: &&Entity| {
                let has_credential = entity.credential.as_ref().is_none_or(|name| !failed.contains_key(name));
                has_credential && entity.owner.as_ref().is_none_or(|owner| !self.faults.contains_key(owner))
            };
            let mut entities: Vec<&Entity> = self.plan.entities.iter().filter(is_sound).collect();
            // A profile that nobody uses any more could only get in the way.
            let users = entities.iter().filter(|entity| entity.owner.is_some());
            let used: BTreeSet<String> = users.filter_map(|user| user.credential.clone()).collect();
            entities.retain(|e| e.owner.is_some() || e.credential.as_ref().is_none_or(|name| used.contains(name)));
            let (text, lines) = skrouterd_json(&entities);
            home::write(&candidate, text.as_bytes())?;
            let report = audit(&shown(&candidate));
            fs::remove_file(&candidate)?;
            let mut refused = BTreeMap::new();
            for finding in report.findings().iter().filter(|finding| finding.is_problem) {
                let at = lines.partition_point(|first| Some(*first) <= finding.line);
                let entity = at.checked_sub(1).and_then(|at| entities.get(at));
                let owners = entity.map(|entity| self.owners(entity)).unwrap_or_default();
                if owners.is_empty() {
                    // Nobody's fault but this program's: the router tells.
                    complain(&finding.text);
                }
                refused.extend(owners.into_iter().map(|owner| (owner, finding.text.clone())));
            }
            let known = self.faults.len();
            for (owner, text) in refused {
                self.faults.entry(owner).or_insert(text);
            }
            if self.faults.len() == known {
                return Ok(text);
            }
        }
    }

    /// Whose entity it is; of a profile, who uses it.
    fn owners(&self, entity: &Entity) -> Vec<Key> {
        let users = self.plan.entities.iter().filter(|other| other.credential == entity.credential);
        match &entity.owner {
            // Without a router there is no site: what is wrong with that is told at the start.
            Some(owner) if owner.kind == Kind::Site => Vec::new(),
            Some(owner) => vec![owner.clone()],
            None if entity.credential.is_some() => users.filter_map(|user| user.owner.clone()).collect(),
            None => Vec::new(),
        }
    }

    fn adopt(&mut self, config: String) -> io::Result<()> {
        home::write(&self.home.path(CONFIG), config.as_bytes())?;
        self.config = config;
        Ok(())
    }

    /// Removes the credentials that the router does not use any more.
    fn forget(&self) {
        Maker::new(&self.home, OffsetDateTime::now_utc()).forget(&self.plan);
    }

    /// Links for other sites; those that lead nowhere any more go.
    fn write_links(&self, failed: &BTreeMap<String, String>) {
        let folder = self.home.path("runtime/links");
        let mut written = BTreeSet::new();
        for handout in self.plan.handouts.iter().filter(|handout| !failed.contains_key(&handout.credential)) {
            let files = certificates::files(&self.home.path("runtime/certs").join(&handout.credential));
            let text = files.map(|files| site::handout(handout, &files));
            match text.and_then(|text| home::renew(&folder.join(&handout.file), text.as_bytes())) {
                Ok(_) => drop(written.insert(handout.file.clone())),
                Err(error) => complain(&format!("{}: {error}", handout.file)),
            }
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("link-") && name.ends_with(".yaml") && !written.contains(&name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn tell(&mut self, observed: &Observed) {
        let mut faults = self.faults.clone();
        for (key, why) in &self.stale {
            let text = format!("{why} (what was there before stays in force)");
            faults.entry(key.clone()).or_insert(text);
        }
        let observed = Observed { faults, expirations: self.expirations.clone(), ..observed.clone() };
        if self.told.as_ref() == Some(&observed) {
            return;
        }
        let now = shown_time(OffsetDateTime::now_utc());
        self.statuses.update(&self.folder, &self.plan, &observed, &now);
        let failure = self.write_status().err().map(|error| format!("{STATUS}: {error}"));
        self.told = failure.is_none().then_some(observed);
        // It is tried again with the next tick.
        if let Some(text) = failure.as_ref().filter(|text| self.untold.as_ref() != Some(text)) {
            complain(text);
        }
        self.untold = failure;
    }

    fn write_status(&self) -> io::Result<()> {
        home::renew(&self.home.path(STATUS), self.statuses.list().as_bytes())?;
        let (folder, files) = (self.home.path(STATES), self.statuses.files());
        for (name, text) in &files {
            home::renew(&folder.join(name), text.as_bytes())?;
        }
        for entry in fs::read_dir(&folder)?.flatten() {
            if !files.contains_key(&*entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
