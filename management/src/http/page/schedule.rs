//! Whom to ask what, and when. It neither sends nor waits.
//!
//! Each router has turns of its own, so that one that does not answer costs its own rows only:
//!
//! ```text
//!           it is due                  answer, next table           answer to the last
//!  Resting ----------> one request -------------------> ... -----------------------> Report, Resting
//!                          '------ no answer for 3 s: Silent, or what has come until then -----'
//! ```
//!
//! A turn begins 2 s after the one before. One request is sent per 50 ms at most, whoever it is for; so with n routers a turn
//! comes every max(2 s, n * 0.3 s): a router is asked for six tables, and connections may take more than one request.

use super::report::{Report, Table};
use super::rows::Answer;
use amqp_core::Instant;
use router_engine::rng::{SecretRng, Seed};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// From the beginning of a turn to that of the next.
pub(super) const PERIOD: Duration = Duration::from_secs(2);

/// Between two requests.
const PACE: Duration = Duration::from_millis(50);

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What a router is, as far as it matters for what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// This one, with a table of routers or without.
    Own {
        is_interior: bool,
    },
    Interior,
    Edge,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) to: String,
    pub(super) table: Table,
    pub(super) offset: usize,
    pub(super) id: u64,
}

/// What has become of a router's turn.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Report(Box<Report>),
    /// There was no answer at all.
    Silent,
}

/// All routers and their turns.
pub(super) struct Schedule {
    turns: BTreeMap<String, Turn>,
    /// Nobody who has not seen a request can answer it.
    ids: SecretRng,
    /// When the next request may be sent.
    free: Instant,
}

struct Turn {
    address: String,
    place: Place,
    /// When the turn began, or when the next one begins.
    at: Instant,
    /// What is still to be asked, and from which row on. Empty while the router rests.
    left: VecDeque<(Table, usize)>,
    waiting: Option<Waiting>,
    report: Report,
    /// In this turn.
    has_answered: bool,
    /// It has told what does not change.
    is_known: bool,
}

struct Waiting {
    id: u64,
    table: Table,
    offset: usize,
    until: Instant,
}

// === impl Place ===

impl Place {
    fn address(self, id: &str) -> String {
        match self {
            Self::Own { .. } => "_local/$management".to_owned(),
            Self::Interior => format!("_topo/0/{id}/$management"),
            Self::Edge => format!("_edge/{id}/$management"),
        }
    }

    fn tables(self, is_known: bool) -> VecDeque<(Table, usize)> {
        let has_nodes = matches!(self, Self::Interior | Self::Own { is_interior: true });
        let wanted = |table: &Table| match table {
            Table::Router => !is_known,
            Table::Nodes => has_nodes,
            _ => true,
        };
        use Table::{Connections, Connectors, Metrics, Nodes, Router, TcpConnectors, TcpListeners};
        let all = [Router, Metrics, Nodes, Connections, Connectors, TcpListeners, TcpConnectors];
        all.into_iter().filter(wanted).map(|table| (table, 0)).collect()
    }
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn new(seed: Seed, now: Instant) -> Self {
        Self { turns: BTreeMap::new(), ids: SecretRng::new(seed), free: now }
    }

    /// From now on these routers have turns.
    pub(super) fn set<'a>(&mut self, routers: impl IntoIterator<Item = (&'a str, Place)>, now: Instant) {
        let mut former = std::mem::take(&mut self.turns);
        for (id, place) in routers {
            let turn = former.remove(id).filter(|turn| turn.place == place);
            self.turns.insert(id.to_owned(), turn.unwrap_or_else(|| Turn::new(id, place, now)));
        }
    }

    /// The next request, if one may be sent now.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Ask> {
        if now < self.free {
            return None;
        }
        let ready = self.turns.values_mut().filter(|turn| turn.waiting.is_none() && turn.at <= now);
        let turn = ready.min_by_key(|turn| turn.at)?;
        self.free = now + PACE;
        // Not every implementation can echo larger numbers.
        Some(turn.ask(self.ids.next_u64() >> 11, now))
    }

    /// An answer has come. Returns the router whose turn is over with it.
    pub(super) fn answer(&mut self, answer: &Answer, now: Instant) -> Option<(String, Outcome)> {
        let is_asked = |turn: &Turn| turn.waiting.as_ref().is_some_and(|waiting| waiting.id == answer.id);
        let (id, turn) = self.turns.iter_mut().find(|(_, turn)| is_asked(turn))?;
        let Waiting { table, offset, .. } = turn.waiting.take()?;
        turn.has_answered = true;
        match &answer.rows {
            Ok(rows) => {
                if let Some(next) = turn.report.add(table, offset, rows, now) {
                    turn.left.push_front((table, next));
                }
            }
            Err(status) => {
                turn.report.missing.push(table);
                turn.report.leave_out(&format!("{} (status {status})", table.plural()));
            }
        }
        turn.is_known |= table == Table::Router && offset == 0;
        turn.left.is_empty().then(|| (id.clone(), turn.end(PERIOD, now)))
    }

    /// Gives up what was waited for too long. Returns the routers whose turns are over with that.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(String, Outcome)> {
        let is_late = |turn: &Turn| turn.waiting.as_ref().is_some_and(|waiting| waiting.until <= now);
        let late = self.turns.iter_mut().filter(|(_, turn)| is_late(turn));
        late.map(|(id, turn)| (id.clone(), turn.give_up(now))).collect()
    }

    /// When there is something to do next, unless an answer comes before.
    pub(super) fn wakes(&self) -> Option<Instant> {
        let wakes = |turn: &Turn| turn.waiting.as_ref().map_or(turn.at.max(self.free), |waiting| waiting.until);
        self.turns.values().map(wakes).min()
    }

    /// How long it takes until each router was asked for everything, about.
    pub(super) fn period(&self) -> Duration {
        let tables: usize = self.turns.values().map(|turn| turn.place.tables(true).len()).sum();
        PERIOD.max(PACE * u32::try_from(tables).unwrap_or(u32::MAX))
    }
}

// === impl Turn ===

impl Turn {
    fn new(id: &str, place: Place, now: Instant) -> Self {
        Self {
            address: place.address(id),
            place,
            at: now,
            left: VecDeque::new(),
            waiting: None,
            report: Report::default(),
            has_answered: false,
            is_known: false,
        }
    }

    fn ask(&mut self, id: u64, now: Instant) -> Ask {
        if self.left.is_empty() {
            self.at = now;
            self.left = self.place.tables(self.is_known);
        }
        let (table, offset) = self.left.pop_front().unwrap_or((Table::Metrics, 0));
        self.waiting = Some(Waiting { id, table, offset, until: now + PATIENCE });
        Ask { to: self.address.clone(), table, offset, id }
    }

    fn give_up(&mut self, now: Instant) -> Outcome {
        let late = self.waiting.take().map(|waiting| waiting.table);
        let left = std::mem::take(&mut self.left);
        if !self.has_answered {
            // It may be another one with that name when it is back.
            self.is_known = false;
            let _ = self.end(2 * PERIOD, now);
            return Outcome::Silent;
        }
        for table in late.into_iter().chain(left.into_iter().map(|(table, _)| table)) {
            self.report.missing.push(table);
            self.report.leave_out(&format!("{} (no answer)", table.plural()));
        }
        self.end(PERIOD, now)
    }

    fn end(&mut self, pause: Duration, now: Instant) -> Outcome {
        self.at = now.max(self.at + pause);
        self.has_answered = false;
        Outcome::Report(Box::new(std::mem::take(&mut self.report)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Rows, rows};
    use super::*;

    const NOW: Instant = Instant::from_micros(0);

    fn at(millis: u64) -> Instant {
        NOW + Duration::from_millis(millis)
    }

    fn schedule(routers: &[(&str, Place)]) -> Schedule {
        let mut schedule = Schedule::new(Seed([7; 32]), NOW);
        schedule.set(routers.iter().copied(), NOW);
        schedule
    }

    fn good(id: u64) -> Answer {
        Answer { id, rows: Ok(Rows::default()) }
    }

    /// What was asked, and whose turns ended in silence or not, with the times in milliseconds.
    type Course = (Vec<(u64, Ask)>, Vec<(u64, String, bool)>);

    /// Runs until a time; routers whose address holds `silent` do not answer. Returns what was asked and what came of it.
    fn run(schedule: &mut Schedule, silent: &str, from: u64, until: u64) -> Course {
        let (mut asked, mut ended) = (Vec::new(), Vec::new());
        let mut now = from;
        while now < until {
            for (id, outcome) in schedule.expire(at(now)) {
                ended.push((now, id, outcome == Outcome::Silent));
            }
            while let Some(ask) = schedule.ask(at(now)) {
                asked.push((now, ask.clone()));
                if silent.is_empty() || !ask.to.contains(silent) {
                    let over = schedule.answer(&good(ask.id), at(now));
                    ended.extend(over.map(|(id, outcome)| (now, id, outcome == Outcome::Silent)));
                }
            }
            let wakes = schedule.wakes().expect("there are routers").as_micros().div_ceil(1000);
            now = wakes.max(now + 1);
        }
        (asked, ended)
    }

    #[test]
    fn each_router_is_asked_for_what_it_has() {
        let own = Place::Own { is_interior: true };
        let mut schedule = schedule(&[("a", own), ("b", Place::Interior), ("e", Place::Edge)]);
        let (asked, ended) = run(&mut schedule, "", 0, 2000);
        let of = |address: &str| {
            let of = asked.iter().filter(|(_, ask)| ask.to == address);
            of.map(|(_, ask)| ask.table).collect::<Vec<_>>()
        };
        use Table::*;
        let all = [Router, Metrics, Nodes, Connections, Connectors, TcpListeners, TcpConnectors];
        assert_eq!(of("_local/$management"), all);
        assert_eq!(of("_topo/0/b/$management"), all);
        assert_eq!(of("_edge/e/$management"), [Router, Metrics, Connections, Connectors, TcpListeners, TcpConnectors]);
        assert_eq!(ended.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "b", "e"]);
        // What does not change is told once.
        let (asked, _) = run(&mut schedule, "", 2000, 4000);
        assert!(asked.len() == 17 && asked.iter().all(|(_, ask)| ask.table != Router), "{asked:?}");
    }

    #[test]
    fn a_small_network_is_asked_every_two_seconds_and_a_large_one_at_a_pace() {
        let turns = |routers: usize, seconds: u64| {
            let ids: Vec<_> = (0..routers).map(|number| format!("r{number:03}")).collect();
            let all: Vec<_> = ids.iter().map(|id| (id.as_str(), Place::Interior)).collect();
            let mut schedule = schedule(&all);
            let (asked, ended) = run(&mut schedule, "", 0, seconds * 1000);
            let most = asked.windows(20).map(|asked| asked[19].0 - asked[0].0).min().unwrap_or(950);
            assert!(most >= 950, "20 requests within {most} ms");
            (ended.iter().filter(|(_, id, _)| *id == ids[routers - 1]).count(), schedule.period())
        };
        assert_eq!(turns(2, 20), (10, Duration::from_secs(2)));
        let (turns, period) = turns(100, 70);
        assert_eq!((turns, period), (2, Duration::from_secs(30)), "six tables each, and the first time seven");
    }

    #[test]
    fn a_silent_router_costs_its_own_rows_only() {
        let mut schedule = schedule(&[("a", Place::Own { is_interior: true }), ("b", Place::Interior)]);
        let (asked, ended) = run(&mut schedule, "/b/", 0, 20_000);
        assert_eq!(ended.iter().filter(|(_, id, silent)| id == "a" && !silent).count(), 10);
        let silent: Vec<_> = ended.iter().filter(|(.., silent)| *silent).collect();
        assert!(silent.len() == 5 && silent[0].0 == 3350 && silent.iter().all(|(_, id, _)| id == "b"), "{silent:?}");
        assert_eq!(asked.iter().filter(|(_, ask)| ask.to.contains("/b/")).count(), 5, "one request a turn");
        // It comes back.
        let (_, ended) = run(&mut schedule, "", 20_000, 25_000);
        assert!(ended.iter().any(|(_, id, silent)| id == "b" && !silent), "{ended:?}");
    }

    #[test]
    fn who_stops_amid_a_turn_has_told_a_part() {
        let mut schedule = schedule(&[("b", Place::Interior)]);
        let ask = schedule.ask(NOW).expect("due");
        schedule.answer(&Answer { id: ask.id, rows: Err(403) }, NOW);
        let ask = schedule.ask(at(50)).expect("due");
        let version: [(&str, amqp_core::Value); 1] = [("version", "9".into())];
        schedule.answer(&Answer { id: ask.id, rows: Ok(rows(&[&version])) }, at(50));
        let ask = schedule.ask(at(100)).expect("due");
        assert_eq!((ask.table, schedule.expire(at(3099)).len()), (Table::Nodes, 0));
        let ended = schedule.expire(at(3100));
        let [(id, Outcome::Report(report))] = &ended[..] else { panic!("{ended:?}") };
        assert_eq!((id.as_str(), report.metrics.version.as_str()), ("b", "9"));
        assert_eq!(report.left_out[..2], ["figures (status 403)", "routers (no answer)"]);
        use Table::*;
        assert_eq!(report.missing, [Router, Nodes, Connections, Connectors, TcpListeners, TcpConnectors]);
        assert!(schedule.answer(&good(ask.id), at(3101)).is_none(), "too late");
    }

    #[test]
    fn only_what_was_asked_is_answered() {
        let mut schedule = schedule(&[("b", Place::Interior)]);
        let first = schedule.ask(NOW).expect("due");
        assert!(schedule.answer(&good(first.id ^ 1), NOW).is_none());
        schedule.answer(&good(first.id), NOW);
        let next = schedule.ask(at(50)).expect("due");
        assert_ne!(next.id, first.id + 1, "it can be guessed");
        assert!(schedule.answer(&good(first.id), at(50)).is_none(), "twice");
        schedule.set([], at(50));
        assert!(schedule.answer(&good(next.id), at(50)).is_none() && schedule.wakes().is_none());
    }
}
