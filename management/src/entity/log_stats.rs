//! `logStats`: how many events a log module saw.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::runtime::Runtime;
use crate::schema::attribute::gauge;
use crate::schema::{EntityDef, Identity, Origin};
use router_engine::log::{LEVELS, LogModule, counts};

pub(super) static DEF: EntityDef = EntityDef {
    name: "logStats",
    identity: Identity::Name("module"),
    origin: Origin::Reported { rank: 2 },
    description: "How many events a log module saw, written or not.",
    attributes: &[
        gauge("debugCount", "Events at level debug."),
        gauge("infoCount", "Events at level info."),
        gauge("noticeCount", "Always absent."),
        gauge("warningCount", "Events at level warning."),
        gauge("errorCount", "Events at level error."),
        gauge("criticalCount", "Events at level critical."),
    ],
    ..EntityDef::OPERATIONAL
};

/// Of a module and its numbers of events, by level.
const COLUMNS: &[Column<(LogModule, [u64; LEVELS])>] = &[
    // No attribute: what the identity is made of.
    ("module", |(module, _)| module.name().into()),
    ("debugCount", |(_, [debug, ..])| counter(*debug)),
    ("infoCount", |(_, [_, info, ..])| counter(*info)),
    ("warningCount", |(_, [_, _, warning, ..])| counter(*warning)),
    ("errorCount", |(_, [.., error, _])| counter(*error)),
    ("criticalCount", |(_, [.., critical])| counter(*critical)),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn instances(&self, _: &Runtime) -> Vec<Attributes> {
        all()
    }
}

/// The statistics of all modules.
pub(crate) fn all() -> Vec<Attributes> {
    LogModule::ALL.into_iter().map(|module| column::shown(COLUMNS, &(module, counts(module)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_engine::log::Level;

    #[test]
    fn every_module_counts_what_it_tells_by_level() {
        let of = |row: &Attributes| {
            ["debugCount", "infoCount", "warningCount", "errorCount", "criticalCount"].map(|name| row.count(name))
        };
        let rows = || all().into_iter().find(|row| row.text("module") == Some("HTTP2_DECODER")).expect("a module");
        let levels = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];
        let before = of(&rows());
        for (at, level) in levels.into_iter().enumerate() {
            for _ in 0..=at {
                router_engine::log!(LogModule::Http2Decoder, level, "of no interest");
            }
        }
        let after = of(&rows());
        // Whether they were written or not.
        assert_eq!(std::array::from_fn::<_, 5, _>(|at| after[at] - before[at]), [1, 2, 3, 4, 5]);
        assert_eq!(all().len(), LogModule::ALL.len());
    }
}
