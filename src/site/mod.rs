//! A site of a Skupper network without a controller: a router whose configuration follows from a folder of resources.
//!
//! ```text
//!  input/resources --watch--> Folder --> Plan --> certificates, skrouterd.json --> Reloader (undone if refused)
//!                                         |            (candidate, audited)
//!                                         v                                       management agent, records
//!  runtime/status.json <------------- Statuses <---------- Observed <-------------- of other sites
//!  runtime/links
//! ```
//!
//! The crate `site` decides everything that needs no file, clock or socket.

mod certificates;
mod cli;
mod home;
mod keeper;
mod observer;
mod watch;

use crate::server::{self, Signals};
use crate::{StartError, manager};
use cli::{Command, Options};
use home::Home;
use keeper::Keeper;
use router_engine::log::{Level, LogModule};
use site::{Finding, Folder, Plan};
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use watch::Watch;

/// The word behind the program's name that asks for this.
pub(crate) const WORD: &str = "site";

/// Does what the words behind `site` ask for.
pub(crate) fn main(program: &str, words: impl Iterator<Item = String>) -> ExitCode {
    match cli::parse(words) {
        Ok(Command::Run(options)) => run(program, &options),
        Ok(Command::Check(options)) => check(&options),
        Ok(Command::Help) => crate::print(cli::usage(program).trim_end()),
        Err(complaint) => {
            let _ = writeln!(io::stderr(), "{program}: {complaint}");
            crate::print(cli::usage(program).trim_end());
            ExitCode::FAILURE
        }
    }
}

fn complain(text: &str) {
    router_engine::log!(LogModule::Agent, Level::Error, "Site: {text}");
}

fn shown_time(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

/// A folder of resources, and where the rest of the site is.
struct Place {
    folders: Vec<PathBuf>,
    home: Home,
    folder: Folder,
    namespace: String,
}

impl Place {
    /// Reads the resources, as the namespace may be told there.
    ///
    /// # Errors
    /// Of folders that cannot be read.
    fn find(options: &Options) -> Result<Self, String> {
        let namespace = options.namespace.as_deref().unwrap_or("default");
        let mut folders = options.resources.clone();
        if folders.is_empty() {
            folders.push(Home::find(options.home.as_deref(), None, namespace).path("input/resources"));
        }
        let mut folder = Folder::default();
        folder.update(read(&folders)?);
        let namespace = options.namespace.as_deref().or(folder.namespace()).unwrap_or("default").to_owned();
        let home = Home::find(options.home.as_deref(), folders.first().map(PathBuf::as_path), &namespace);
        Ok(Self { folders, home, folder, namespace })
    }
}

fn read(folders: &[PathBuf]) -> Result<Vec<site::Source>, String> {
    let mut sources = Vec::new();
    for folder in folders {
        sources.extend(home::sources(folder).map_err(|error| format!("{}: {error}", folder.display()))?);
    }
    Ok(sources)
}

/// Success only if all that the resources ask for can be done, as far as that can be told without a router.
fn check(options: &Options) -> ExitCode {
    let place = match Place::find(options) {
        Ok(place) => place,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            return ExitCode::FAILURE;
        }
    };
    let surroundings = keeper::surroundings(&place.home, &place.folder, &place.namespace);
    let plan = Plan::new(&place.folder, &surroundings);
    let mut told: Vec<String> = place.folder.findings().iter().map(ToString::to_string).collect();
    let mut problems = place.folder.findings().iter().filter(|finding| finding.is_problem).count();
    for (key, fault) in &plan.faults {
        let (file, line) = place.folder.place(key).unwrap_or_default();
        told.push(format!("{file}:{line}: {fault}"));
        problems += 1;
    }
    let folders: Vec<String> = place.folders.iter().map(|folder| folder.display().to_string()).collect();
    let folders = folders.join(", ");
    if place.folder.site_name().is_none() {
        told.push(format!("{folders}: there is no Site"));
        problems += 1;
    }
    told.push(match problems {
        0 => format!("{folders}: no problems found"),
        1 => format!("{folders}: 1 problem"),
        several => format!("{folders}: {several} problems"),
    });
    let printed = writeln!(io::stdout(), "{}", told.join("\n"));
    if problems == 0 && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(program: &str, options: &Options) -> ExitCode {
    let _last_lines = crate::LastLines;
    crate::prepare(program);
    let ended = start(options);
    crate::conclude(program, ended, false)
}

/// Tells what is found in resources that was not known before.
fn tell_findings(findings: &[Finding], known: &[Finding]) {
    let known: HashSet<&Finding> = known.iter().collect();
    for finding in findings.iter().filter(|finding| !known.contains(finding)) {
        let level = if finding.is_problem { Level::Error } else { Level::Warning };
        router_engine::log!(LogModule::Agent, level, "Site: {finding}");
    }
}

/// The place, once there is a Site: whoever brings it may be later than this process. None: it was asked to end before.
fn awaited(options: &Options) -> Result<Option<Place>, StartError> {
    let failed = |error: io::Error| StartError(error.to_string());
    if options.resources.is_empty() {
        let namespace = options.namespace.as_deref().unwrap_or("default");
        Home::find(options.home.as_deref(), None, namespace).prepare().map_err(failed)?;
    }
    let mut place = Place::find(options).map_err(StartError)?;
    tell_findings(place.folder.findings(), &[]);
    if place.folder.site_name().is_some() {
        return Ok(Some(place));
    }
    let folders: Vec<String> = place.folders.iter().map(|folder| folder.display().to_string()).collect();
    let text = format!("waits for a Site in {}", folders.join(", "));
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    executor.block_on(async {
        let (watch, mut signals) = (Watch::new().map_err(failed)?, Signals::new().map_err(failed)?);
        // Whoever reads that it waits may bring the Site, or end it.
        router_engine::log!(LogModule::Agent, Level::Warning, "Site: {text}");
        manager::waiting(&text);
        loop {
            for folder in &place.folders {
                watch.folder(folder).map_err(failed)?;
            }
            // What came before the folders were watched is seen, too.
            let known = place.folder.findings().to_vec();
            place = Place::find(options).map_err(StartError)?;
            tell_findings(place.folder.findings(), &known);
            if place.folder.site_name().is_some() {
                return Ok(Some(place));
            }
            tokio::select! {
                // Half of a Site may be one of another kind.
                () = watch.changed.notified() => watch::rest(&watch.changed).await,
                () = signals.again() => return Ok(None),
            }
        }
    })
}

fn start(options: &Options) -> Result<server::Ending, StartError> {
    let Some(Place { folders, home, folder, namespace }) = awaited(options)? else {
        return Ok(server::Ending::Stopped);
    };
    let failed = |error: io::Error| StartError(error.to_string());
    home.prepare().map_err(failed)?;
    let _lock = home.occupy().map_err(failed)?;
    let mut keeper = Keeper::new(folders, home, folder, &namespace).map_err(failed)?;
    management::vanflow::identify_site(keeper.site_id());
    let config = keeper.begin().map_err(failed)?;
    let mut router = crate::cli::Options::with(shown(&config));
    router.is_kept = true;
    let mut kept = None;
    let ended = server::run(&router, |io, reloader| {
        kept = keeper.keep(io, reloader).inspect_err(|error| complain(&error.to_string())).ok();
    });
    if let Some(kept) = kept {
        // It has been told that the router stops, and writes the last state.
        let _ = kept.join();
    }
    ended
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
