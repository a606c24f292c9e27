//! Vhost policy (spec `security-and-policy.md` 10): who may do what over an AMQP connection.
//!
//! Rules and decisions: whoever reads configuration makes a [`Vhost`] of each rule set, with the hosts in it already
//! looked up. The port asks once, when the peer's open has come; by the [`Grant`] that it gets it checks sessions, links
//! and messages, and counts in [`Totals`] and [`VhostStats`] what it denies.
//!
//! ```text
//!  configuration --Vhost--> Policy --Admission--> port --Decision, with the open--> core, management
//!                             '--- VhostStats <-----'
//! ```

mod address;
mod decision;
mod report;
mod rules;
mod stats;
#[cfg(test)]
mod tests;

pub use address::{AddressError, AddressRules};
pub(crate) use report::Shown;

pub use decision::{Admission, Asked, Decision, Grant, Refusal};
pub use rules::{ConnectionLimits, Group, HostRange, RuleError, Settings, Vhost};
pub use stats::{Counted, Denied, Exceeded, TotalFigures, Totals, VhostFigures, VhostStats};

use crate::address::pattern::PatternTree;
use std::collections::HashMap;
use std::sync::Arc;

/// The rule sets of all vhosts, and how one of them is chosen.
#[derive(Debug, Default)]
pub struct Policy {
    /// `enableVhostPolicy`: without, rules are kept and nobody is asked for them.
    enabled: bool,
    /// The vhost for names that no other covers; empty is none.
    default_vhost: String,
    /// The names of vhosts and their aliases by what they match, where they are patterns.
    patterns: Option<PatternTree<String>>,
    /// Octets in the largest message where no vhost says it; zero is any.
    max_message_size: u64,
    vhosts: HashMap<String, Kept>,
    /// Names of vhosts by alias.
    aliases: HashMap<String, String>,
    /// Of the vhosts that there are or were, in the order in which they came.
    stats: Vec<Arc<VhostStats>>,
}

/// The rules of a vhost, and what is counted of it.
#[derive(Debug)]
struct Kept {
    rules: Vhost,
    stats: Arc<VhostStats>,
}

// === impl Policy ===

impl Policy {
    /// No vhosts yet. `patterns`: their names are patterns (`enableVhostNamePatterns`).
    #[must_use]
    pub fn new(enabled: bool, patterns: bool, default_vhost: String) -> Self {
        let patterns = patterns.then(PatternTree::default);
        Self { enabled, default_vhost, patterns, ..Self::default() }
    }

    /// How many octets the largest message may have where no vhost says it; zero is any.
    #[must_use]
    pub fn with_max_message_size(self, max_message_size: u64) -> Self {
        Self { max_message_size, ..self }
    }

    /// What was counted of each vhost, those without rules now among them.
    #[must_use]
    pub fn stats(&self) -> &[Arc<VhostStats>] {
        &self.stats
    }

    /// Puts a vhost in its place, or adds it. False: it replaced one of that name.
    ///
    /// # Errors
    /// When one of its names belongs to another vhost. Nothing has changed then.
    pub fn put(&mut self, vhost: Vhost) -> Result<bool, RuleError> {
        self.check_names(&vhost)?;
        self.replace_patterns(&vhost)?;
        let old = self.forget(vhost.name());
        for alias in vhost.aliases() {
            self.aliases.insert(alias.clone(), vhost.name().to_owned());
        }
        let stats = self.stats_of(vhost.name());
        self.vhosts.insert(vhost.name().to_owned(), Kept { rules: vhost, stats });
        Ok(old.is_none())
    }

    fn stats_of(&mut self, name: &str) -> Arc<VhostStats> {
        if let Some(known) = self.stats.iter().find(|stats| stats.name() == name) {
            return Arc::clone(known);
        }
        let new = Arc::new(VhostStats::new(name.to_owned()));
        self.stats.push(Arc::clone(&new));
        new
    }

    /// Removes a vhost and its aliases, if it is there.
    pub fn remove(&mut self, name: &str) {
        let Some(old) = self.forget(name) else { return };
        if let Some(patterns) = &mut self.patterns {
            old.names().for_each(|name| drop(patterns.remove(name)));
        }
    }

    fn forget(&mut self, name: &str) -> Option<Vhost> {
        let old = self.vhosts.remove(name)?.rules;
        old.aliases().iter().for_each(|alias| drop(self.aliases.remove(alias)));
        Some(old)
    }

    fn check_names(&self, vhost: &Vhost) -> Result<(), RuleError> {
        let name = vhost.name();
        if let Some(owner) = self.aliases.get(name) {
            return Err(RuleError::NameIsAlias { vhost: name.to_owned(), owner: owner.clone() });
        }
        for alias in vhost.aliases() {
            let (vhost, alias) = (name.to_owned(), alias.clone());
            if self.vhosts.contains_key(&alias) {
                return Err(RuleError::AliasIsVhost { vhost, alias });
            }
            if let Some(owner) = self.aliases.get(&alias).filter(|owner| **owner != vhost) {
                return Err(RuleError::AliasTaken { vhost, alias, owner: owner.clone() });
            }
        }
        Ok(())
    }

    /// Has the patterns of a vhost be those of its new rules, or, if one of them is taken, be as they were.
    fn replace_patterns(&mut self, vhost: &Vhost) -> Result<(), RuleError> {
        let Some(patterns) = &mut self.patterns else { return Ok(()) };
        let old = self.vhosts.get(vhost.name());
        let old_names = || old.into_iter().flat_map(|old| old.rules.names());
        old_names().for_each(|name| drop(patterns.remove(name)));
        for (added, name) in vhost.names().enumerate() {
            if patterns.insert(name, name.to_owned()).is_err() {
                vhost.names().take(added).for_each(|name| drop(patterns.remove(name)));
                // They were there before.
                old_names().for_each(|name| drop(patterns.insert(name, name.to_owned())));
                return Err(RuleError::PatternTaken { vhost: vhost.name().to_owned(), alias: name.to_owned() });
            }
        }
        Ok(())
    }
}
