//! Whether a server gets anything, by what checks and attempts of real traffic tell. No input or output: time is an
//! argument.
//!
//! ```text
//!            success                       failures in a row
//!  Unknown ----------> Up --------------------------------------> Down
//!     |                 ^                                           | ^
//!     |                 '------------ successes in a row -----------' |      checks
//!     '------------------------- failure -----------------------------'
//!
//!  (none) --attempts fail in a row--> Ejected --a check succeeds, or time is over--> (none)      beside it
//! ```
//!
//! With checks, `Unknown` is the time until the first, and the server gets nothing. Without, it is the time until the
//! first attempt, also of each after an ejection, and the server gets everything.

use amqp_core::Instant;
use std::time::Duration;

/// The pause between checks of a server that is not known to be well, at most.
const RECHECK: Duration = Duration::from_secs(1);

/// An ejection lasts at most so many times as long as the first.
const GROWTH_MAX: u32 = 10;

/// How a server is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// From the end of a check to the next; not zero.
    pub interval: Duration,
    /// Checks that fail in a row until the server gets nothing any more.
    pub failures: u32,
    /// Checks that succeed in a row until it does again.
    pub successes: u32,
}

/// What failed attempts of real traffic do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejections {
    /// Attempts that fail in a row until the server gets nothing for a while.
    pub failures: u32,
    /// How long that is the first time. When attempts fail again within the time that it took, the next is twice as
    /// long, and so on up to ten times.
    ///
    /// With checks the first ends with the next success. When attempts fail again nevertheless, checks do not see what
    /// they see, and an ejection lasts at least as long as the one before would have without checks.
    pub time: Duration,
}

/// What there is to tell whether a server is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Params {
    /// It is tried.
    pub checks: Option<Checks>,
    /// It is told by what it does.
    pub ejections: Option<Ejections>,
}

/// What is known of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is well.
    Up,
    /// Checks fail.
    Down,
    /// Attempts of real traffic have failed.
    Ejected,
}

/// What has become of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is well.
    Up,
    /// It gets nothing, as checks fail.
    Down,
    /// It gets nothing for so long, as attempts have failed. With checks it is for so long at least.
    Ejected(Duration),
    /// The time is over, and it gets what there is, to see.
    Tried,
}

/// The health of one server.
#[derive(Debug)]
pub struct State {
    params: Params,
    verdict: Verdict,
    /// Whether the last check succeeded, and how many in a row were like it.
    row: (bool, u32),
    next_check: Instant,
    /// Attempts that failed in a row.
    failed: u32,
    ejection: Option<Ejection>,
    /// How long the last ejection was, or was to be without checks; zero before the first.
    last_time: Duration,
    /// When it was last withdrawn or brought back. What began before says nothing: an attempt may take long to fail.
    turned: Instant,
}

/// What checks say; without checks, what attempts do.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Up,
    /// With the reason.
    Down(String),
}

#[derive(Debug)]
struct Ejection {
    /// It lasts until then, at least.
    until: Instant,
    reason: String,
}

// === impl Status ===

impl Status {
    /// The name in management.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
        }
    }
}

// === impl Params ===

impl Params {
    /// Whether nothing tells how the server is.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.checks.is_none() && self.ejections.is_none()
    }
}

// === impl State ===

impl State {
    /// Nothing is known. The first check is due at once.
    #[must_use]
    pub const fn new(params: Params, now: Instant) -> Self {
        Self {
            params,
            verdict: Verdict::Unknown,
            row: (false, 0),
            next_check: now,
            failed: 0,
            ejection: None,
            last_time: Duration::ZERO,
            turned: now,
        }
    }

    /// Takes the result of a check that was begun at some time and ends now.
    pub fn on_check(&mut self, begun: Instant, now: Instant, result: Result<(), String>) -> Option<Change> {
        let checks = self.params.checks?;
        let (status, was_available) = (self.status(), self.is_available());
        if begun >= self.turned {
            self.judge(checks, result);
            if self.row.0 && self.row.1 >= checks.successes && self.ejection.as_ref().is_some_and(|e| e.until <= now) {
                self.ejection = None;
            }
        }
        self.next_check = now + self.pause(checks);
        if self.is_available() != was_available {
            (self.turned, self.failed) = (now, 0);
        }
        match self.status() {
            after if after == status => None,
            Status::Up => Some(Change::Up),
            Status::Down => Some(Change::Down),
            // It is well by its checks again, and still ejected.
            Status::Unknown | Status::Ejected => None,
        }
    }

    fn judge(&mut self, checks: Checks, result: Result<(), String>) {
        let length = if self.row.0 == result.is_ok() { self.row.1.saturating_add(1) } else { 1 };
        self.row = (result.is_ok(), length);
        self.verdict = match (&self.verdict, result) {
            (Verdict::Unknown, Ok(())) => Verdict::Up,
            (Verdict::Down(_), Ok(())) if length >= checks.successes => Verdict::Up,
            (Verdict::Up, Err(reason)) if length >= checks.failures => Verdict::Down(reason),
            (Verdict::Unknown | Verdict::Down(_), Err(reason)) => Verdict::Down(reason),
            (Verdict::Up, _) | (Verdict::Down(_), Ok(())) => return,
        };
    }

    /// Until the next check.
    fn pause(&self, checks: Checks) -> Duration {
        let is_well = self.status() == Status::Up && self.row.0;
        if is_well { checks.interval } else { checks.interval.min(RECHECK) }
    }

    /// Takes the result of an attempt of real traffic that was begun at some time and ends now.
    pub fn on_attempt(&mut self, begun: Instant, now: Instant, result: Result<(), &str>) -> Option<Change> {
        let ejections = self.params.ejections?;
        if begun < self.turned || !self.is_available() {
            return None;
        }
        let Err(reason) = result else {
            self.failed = 0;
            let is_news = self.verdict == Verdict::Unknown;
            self.verdict = Verdict::Up;
            return is_news.then_some(Change::Up);
        };
        self.failed = self.failed.saturating_add(1);
        (self.failed >= ejections.failures).then(|| Change::Ejected(self.eject(ejections, now, reason.to_owned())))
    }

    /// Returns how long it is for.
    fn eject(&mut self, Ejections { time, .. }: Ejections, now: Instant, reason: String) -> Duration {
        // Of a server that was well for longer than it was ejected, nothing is held against it.
        let former = self.last_time;
        let is_again = now.since(self.turned) < former;
        self.last_time = if is_again { (former * 2).min(time * GROWTH_MAX) } else { time };
        let lasts = match self.params.checks {
            Some(_) if is_again => former,
            Some(_) => Duration::ZERO,
            None => self.last_time,
        };
        self.ejection = Some(Ejection { until: now + lasts, reason });
        self.turned = now;
        if let Some(checks) = self.params.checks {
            self.row = (false, 0);
            self.next_check = self.next_check.min(now + self.pause(checks));
        }
        lasts
    }

    /// Time has passed. A check that is due is the caller's to make.
    pub fn on_time(&mut self, now: Instant) -> Option<Change> {
        if self.params.checks.is_some() || self.ejection.as_ref().is_none_or(|ejection| ejection.until > now) {
            return None;
        }
        (self.ejection, self.verdict, self.turned) = (None, Verdict::Unknown, now);
        Some(Change::Tried)
    }

    /// When there is something to do next: a check, where there are any, or else [`Self::on_time`].
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.params.checks {
            Some(_) => Some(self.next_check),
            None => self.ejection.as_ref().map(|ejection| ejection.until),
        }
    }

    /// What is known.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (&self.verdict, &self.ejection) {
            (Verdict::Down(_), _) => Status::Down,
            (Verdict::Unknown | Verdict::Up, Some(_)) => Status::Ejected,
            (Verdict::Up, None) => Status::Up,
            (Verdict::Unknown, None) => Status::Unknown,
        }
    }

    /// Why it gets nothing; empty while it does.
    #[must_use]
    pub fn reason(&self) -> &str {
        match (&self.verdict, &self.ejection) {
            (Verdict::Down(reason), _) | (_, Some(Ejection { reason, .. })) => reason,
            (Verdict::Unknown | Verdict::Up, None) => "",
        }
    }

    /// Whether it gets anything.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        match self.status() {
            Status::Up => true,
            Status::Unknown => self.params.checks.is_none(),
            Status::Down | Status::Ejected => false,
        }
    }

    /// Whether one more attempt that succeeds would change nothing.
    pub(super) fn knows_success(&self) -> bool {
        self.params.ejections.is_none() || self.failed == 0 && self.verdict != Verdict::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(5);
    const EJECTION: Duration = Duration::from_secs(30);
    const CHECKS: Checks = Checks { interval: INTERVAL, failures: 2, successes: 1 };
    const EJECTIONS: Ejections = Ejections { failures: 3, time: EJECTION };

    /// A state, and the time of its test.
    struct Bed {
        state: State,
        now: Instant,
    }

    impl Bed {
        fn new(checks: Option<Checks>, ejections: Option<Ejections>) -> Self {
            let now = Instant::from_micros(1_000_000);
            Self { state: State::new(Params { checks, ejections }, now), now }
        }

        /// A check when it is due.
        fn check(&mut self, succeeds: bool) -> Option<Change> {
            self.now = self.state.due().expect("a check").max(self.now);
            let result = if succeeds { Ok(()) } else { Err("refused".to_owned()) };
            self.state.on_check(self.now, self.now, result)
        }

        fn attempt(&mut self, succeeds: bool) -> Option<Change> {
            self.attempt_of(self.now, succeeds)
        }

        fn attempt_of(&mut self, begun: Instant, succeeds: bool) -> Option<Change> {
            self.state.on_attempt(begun, self.now, if succeeds { Ok(()) } else { Err("refused") })
        }

        fn fail_attempts(&mut self, count: u32) {
            for _ in 0..count {
                self.attempt(false);
            }
        }

        fn wait(&mut self, seconds: u64) -> Option<Change> {
            self.now = self.now + Duration::from_secs(seconds);
            self.state.on_time(self.now)
        }

        fn expect(&self, status: Status, is_available: bool) {
            assert_eq!((self.state.status(), self.state.is_available()), (status, is_available));
            assert_eq!(self.state.reason().is_empty(), matches!(status, Status::Unknown | Status::Up));
        }

        fn pause(&self) -> Duration {
            self.state.due().expect("a check").since(self.now)
        }
    }

    #[test]
    fn the_first_check_decides() {
        for succeeds in [true, false] {
            let mut bed = Bed::new(Some(Checks { failures: 9, successes: 9, ..CHECKS }), None);
            bed.expect(Status::Unknown, false);
            assert_eq!(bed.pause(), Duration::ZERO);
            assert_eq!(bed.check(succeeds), Some(if succeeds { Change::Up } else { Change::Down }));
            bed.expect(if succeeds { Status::Up } else { Status::Down }, succeeds);
        }
    }

    #[test]
    fn checks_in_a_row_withdraw_and_bring_back() {
        let mut bed = Bed::new(Some(Checks { failures: 3, successes: 2, ..CHECKS }), None);
        bed.check(true);
        for succeeds in [false, false, true, false, false] {
            assert_eq!(bed.check(succeeds), None);
            bed.expect(Status::Up, true);
        }
        assert_eq!(bed.check(false), Some(Change::Down));
        for succeeds in [false, true, false, true] {
            assert_eq!(bed.check(succeeds), None);
            bed.expect(Status::Down, false);
        }
        assert_eq!(bed.check(true), Some(Change::Up));
        bed.expect(Status::Up, true);
    }

    #[test]
    fn who_is_not_well_is_looked_at_more_often() {
        let mut bed = Bed::new(Some(CHECKS), Some(EJECTIONS));
        let mut paces = Vec::new();
        for succeeds in [true, true, false, true, false, false, false, true] {
            bed.check(succeeds);
            paces.push(bed.pause().as_secs());
        }
        assert_eq!(paces, [5, 5, 1, 5, 1, 1, 1, 5]);
        bed.wait(1);
        bed.fail_attempts(3);
        assert_eq!(bed.pause(), RECHECK, "the check after an ejection");
        let mut quick = Bed::new(Some(Checks { interval: Duration::from_millis(100), ..CHECKS }), None);
        quick.check(false);
        assert_eq!(quick.pause().as_millis(), 100);
    }

    #[test]
    fn the_latest_reason_is_told() {
        let mut bed = Bed::new(Some(CHECKS), None);
        for reason in ["first", "second"] {
            bed.state.on_check(bed.now, bed.now, Err(reason.to_owned()));
            assert_eq!(bed.state.reason(), reason);
        }
    }

    #[test]
    fn attempts_that_fail_in_a_row_eject_for_a_while() {
        let mut bed = Bed::new(None, Some(EJECTIONS));
        bed.expect(Status::Unknown, true);
        assert_eq!(bed.attempt(false), None);
        bed.expect(Status::Unknown, true);
        assert_eq!(bed.attempt(true), Some(Change::Up));
        for succeeds in [false, false, true, true, false, false] {
            assert_eq!(bed.attempt(succeeds), None);
        }
        bed.expect(Status::Up, true);
        assert_eq!(bed.attempt(false), Some(Change::Ejected(EJECTION)));
        bed.expect(Status::Ejected, false);
        assert_eq!(bed.wait(29), None);
        assert_eq!(bed.wait(1), Some(Change::Tried));
        bed.expect(Status::Unknown, true);
        assert_eq!(bed.state.due(), None);
        assert_eq!(bed.attempt(true), Some(Change::Up));
        bed.expect(Status::Up, true);
    }

    #[test]
    fn ejections_grow_while_nothing_succeeds_for_long() {
        let mut bed = Bed::new(None, Some(EJECTIONS));
        bed.fail_attempts(2);
        let mut times = Vec::new();
        for _ in 0..6 {
            // One that fails is enough by now.
            let Some(Change::Ejected(time)) = bed.attempt(false) else { panic!("not ejected") };
            times.push(time.as_secs());
            assert_eq!(bed.wait(time.as_secs()), Some(Change::Tried));
        }
        assert_eq!(times, [30, 60, 120, 240, 300, 300]);
        assert_eq!(bed.attempt(true), Some(Change::Up));
        bed.wait(300);
        bed.fail_attempts(2);
        assert_eq!(bed.attempt(false), Some(Change::Ejected(EJECTION)), "it was well for long");
    }

    #[test]
    fn what_began_before_says_nothing() {
        let mut bed = Bed::new(None, Some(EJECTIONS));
        let early = bed.now;
        bed.wait(1);
        bed.fail_attempts(3);
        bed.wait(30);
        for _ in 0..9 {
            assert_eq!(bed.attempt_of(early, false), None);
        }
        bed.expect(Status::Unknown, true);
        let mut bed = Bed::new(Some(CHECKS), Some(EJECTIONS));
        bed.check(true);
        let early = bed.now;
        bed.wait(1);
        bed.fail_attempts(3);
        assert_eq!(bed.state.on_check(early, bed.now, Ok(())), None);
        bed.expect(Status::Ejected, false);
    }

    #[test]
    fn a_check_ends_the_first_ejection_and_later_ones_when_they_have_lasted() {
        let mut bed = Bed::new(Some(CHECKS), Some(EJECTIONS));
        assert_eq!(bed.attempt(false), None, "it gets nothing yet");
        bed.check(true);
        let mut times = Vec::new();
        for _ in 0..6 {
            assert_eq!([bed.attempt(false), bed.attempt(false)], [None; 2]);
            let Some(Change::Ejected(time)) = bed.attempt(false) else { panic!("not ejected") };
            times.push(time.as_secs());
            let ejected = bed.now;
            while bed.check(true) != Some(Change::Up) {
                bed.expect(Status::Ejected, false);
            }
            let lasted = bed.now.since(ejected);
            assert!(lasted >= time && lasted <= time + RECHECK, "{lasted:?} instead of {time:?}");
        }
        assert_eq!(times, [0, 30, 60, 120, 240, 300]);
    }

    #[test]
    fn a_server_may_be_down_and_ejected() {
        let mut bed = Bed::new(Some(CHECKS), Some(EJECTIONS));
        bed.check(true);
        for _ in 0..2 {
            bed.fail_attempts(3);
            bed.expect(Status::Ejected, false);
            assert_eq!(bed.check(false), None);
            assert_eq!(bed.check(false), Some(Change::Down));
            bed.expect(Status::Down, false);
            while !bed.state.is_available() {
                bed.check(true);
            }
        }
        bed.check(false);
        bed.check(false);
        bed.expect(Status::Down, false);
        assert_eq!(bed.check(true), Some(Change::Up));
    }

    /// What may happen, so many milliseconds after what happened before; it was begun so many before.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Check(bool),
        Attempt(bool),
        Nothing,
    }

    /// The same by looking back at everything that counts.
    struct Model {
        params: Params,
        /// What checks have said, the latest first, since the last ejection.
        checks: Vec<bool>,
        /// What attempts have said, the latest first, since checks last brought the server back.
        attempts: Vec<bool>,
        is_well: Option<bool>,
        /// From when, until when, and the nominal time.
        ejections: Vec<(Instant, Instant, Duration)>,
        is_ejected: bool,
        turned: Instant,
    }

    fn begins_with(results: &[bool], count: u32, result: bool) -> bool {
        results.iter().take_while(|known| **known == result).count() >= count as usize
    }

    impl Model {
        fn is_available(&self) -> bool {
            let is_fine = self.is_well.unwrap_or(self.params.checks.is_none());
            is_fine && !self.is_ejected
        }

        fn step(&mut self, step: Step, begun: Instant, now: Instant) {
            let was_available = self.is_available();
            match (step, self.params.checks, self.params.ejections) {
                (Step::Check(succeeds), Some(checks), _) if begun >= self.turned => self.check(succeeds, checks, now),
                (Step::Attempt(succeeds), checks, Some(ejections)) if begun >= self.turned && was_available => {
                    self.attempts.insert(0, succeeds);
                    if checks.is_none() && succeeds {
                        self.is_well = Some(true);
                    }
                    if begins_with(&self.attempts, ejections.failures, false) {
                        self.eject(ejections, now);
                    }
                }
                (Step::Nothing, None, _) if self.is_ejected && self.ejections.last().is_some_and(|e| e.1 <= now) => {
                    (self.is_ejected, self.is_well) = (false, None);
                }
                _ => {}
            }
            if self.is_available() != was_available {
                self.turned = now;
                if self.params.checks.is_some() && !was_available {
                    self.attempts.clear();
                }
            }
        }

        fn check(&mut self, succeeds: bool, checks: Checks, now: Instant) {
            self.checks.insert(0, succeeds);
            let is_well = match self.is_well {
                None => succeeds,
                Some(true) => !begins_with(&self.checks, checks.failures, false),
                Some(false) => begins_with(&self.checks, checks.successes, true),
            };
            self.is_well = Some(is_well);
            if begins_with(&self.checks, checks.successes, true) && self.ejections.last().is_some_and(|e| e.1 <= now) {
                self.is_ejected = false;
            }
        }

        fn eject(&mut self, Ejections { time, .. }: Ejections, now: Instant) {
            let former = self.ejections.last().map(|e| e.2).filter(|former| now < self.turned + *former);
            let nominal = former.map_or(time, |former| (former * 2).min(time * 10));
            let lasts = if self.params.checks.is_some() { former.unwrap_or_default() } else { nominal };
            self.ejections.push((now, now + lasts, nominal));
            self.is_ejected = true;
            self.checks.clear();
        }

        fn status(&self) -> Status {
            match (self.is_well, self.is_ejected) {
                (Some(false), _) => Status::Down,
                (_, true) => Status::Ejected,
                (Some(true), _) => Status::Up,
                (None, _) => Status::Unknown,
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<(Step, u64, u64)>> {
        let step = prop_oneof![
            4 => any::<bool>().prop_map(Step::Check),
            4 => prop::bool::weighted(0.3).prop_map(Step::Attempt),
            1 => Just(Step::Nothing),
        ];
        let pause = prop_oneof![4 => 0..200_u64, 1 => 0..5_000_u64];
        proptest::collection::vec((step, pause, 0..300_u64), 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_history_is_judged_as_by_looking_back(
            steps in steps(),
            checks in proptest::option::of((1..4_u32, 1..4_u32)),
            ejections in proptest::option::of((1..4_u32, 1..1_000_u64)),
        ) {
            let params = Params {
                checks: checks.map(|(failures, successes)| Checks { interval: INTERVAL, failures, successes }),
                ejections: ejections.map(|(failures, time)| Ejections { failures, time: Duration::from_millis(time) }),
            };
            let mut now = Instant::from_micros(1_000_000);
            let mut state = State::new(params, now);
            let (attempts, ejections) = (Vec::new(), Vec::new());
            let mut model =
                Model { params, checks: Vec::new(), attempts, is_well: None, ejections, is_ejected: false, turned: now };
            for (step, pause, lag) in steps {
                now = now + Duration::from_millis(pause);
                let begun = Instant::from_micros(now.as_micros() - lag * 1000);
                let before = state.status();
                let change = match step {
                    Step::Check(succeeds) => {
                        state.on_check(begun, now, if succeeds { Ok(()) } else { Err("check".to_owned()) })
                    }
                    Step::Attempt(succeeds) => state.on_attempt(begun, now, if succeeds { Ok(()) } else { Err("attempt") }),
                    Step::Nothing => state.on_time(now),
                };
                model.step(step, begun, now);
                prop_assert_eq!(state.status(), model.status());
                prop_assert_eq!(state.is_available(), model.is_available());
                prop_assert_eq!(state.reason().is_empty(), matches!(state.status(), Status::Up | Status::Unknown));
                let ends_as = |status, after| change == Some(after) && state.status() == status && before != status;
                let is_told = match change {
                    Some(Change::Ejected(time)) => {
                        let (from, until, _) = *model.ejections.last().expect("an ejection");
                        from == now && until == now + time && before != Status::Ejected
                    }
                    Some(change @ Change::Up) => ends_as(Status::Up, change),
                    Some(change @ Change::Down) => ends_as(Status::Down, change),
                    Some(change @ Change::Tried) => ends_as(Status::Unknown, change),
                    None => state.status() == before || (before, state.status()) == (Status::Down, Status::Ejected),
                };
                prop_assert!(is_told, "{:?} from {:?} to {:?}", change, before, state.status());
                if let Some(checks) = params.checks {
                    prop_assert!(state.due().is_some_and(|due| due <= now + checks.interval));
                }
            }
        }

        #[test]
        fn a_server_that_is_well_again_always_comes_back(
            steps in steps(),
            checks in proptest::option::of((1..4_u32, 1..4_u32)),
            time in 1..1_000_u64,
        ) {
            let time = Duration::from_millis(time);
            let checks = checks.map(|(failures, successes)| Checks { interval: INTERVAL, failures, successes });
            let params = Params { checks, ejections: Some(Ejections { failures: 2, time }) };
            let mut now = Instant::from_micros(1_000_000);
            let mut state = State::new(params, now);
            for (step, pause, _) in steps {
                now = now + Duration::from_millis(pause);
                let _ = match step {
                    Step::Check(succeeds) => state.on_check(now, now, if succeeds { Ok(()) } else { Err("check".to_owned()) }),
                    Step::Attempt(succeeds) => state.on_attempt(now, now, if succeeds { Ok(()) } else { Err("attempt") }),
                    Step::Nothing => state.on_time(now),
                };
            }
            let limit = now + time * GROWTH_MAX + INTERVAL * 4;
            while !state.is_available() {
                now = state.due().expect("something to do").max(now);
                prop_assert!(now <= limit);
                if checks.is_some() {
                    state.on_check(now, now, Ok(()));
                } else {
                    state.on_time(now);
                }
            }
        }
    }
}
