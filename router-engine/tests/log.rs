//! What events of the log are to subscribers, and what those cost that nobody wants.

use router_engine::log;
use router_engine::log::{Level, LogModule, Observer, Record, counts, set_mask};
use std::cell::Cell;
use std::fmt;
use std::sync::mpsc::channel;
use tracing::subscriber::with_default;

/// What `logging` gives to subscribers.
fn records(logging: impl FnOnce()) -> Vec<Record> {
    let (kept, records) = channel();
    let keep = move |record: &Record| kept.send(record.clone()).expect("the test goes on");
    with_default(Observer(keep), logging);
    records.try_iter().collect()
}

fn texts(logging: impl FnOnce()) -> Vec<String> {
    records(logging).iter().map(|record| record.text().to_string()).collect()
}

/// A text that cannot be made.
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("broken")
    }
}

#[test]
fn an_event_is_read_back_with_all_that_it_has() {
    let module = LogModule::Router;
    set_mask(module, u8::MAX);
    let (conn, text) = (7_u32, "it");
    let records = records(|| {
        log!(module, Level::Info, conn = conn, link = 3_u32, delivery = 1_u64 << 40, "{text} {}", 1);
        log!(module, Level::Critical, "no {{place}}");
    });
    let [first, second] = &records[..] else { panic!("{records:?}") };
    assert_eq!((first.module, first.level, first.message.as_str()), (module, Level::Info, "it 1"));
    assert_eq!((first.conn, first.link, first.delivery), (Some(7), Some(3), Some(1 << 40)));
    assert!(first.file.ends_with("tests/log.rs") && second.line == first.line + 1, "{records:?}");
    assert_eq!((second.level, second.message.as_str()), (Level::Critical, "no {place}"));
    assert_eq!((second.conn, second.link, second.delivery), (None, None, None));
}

#[test]
fn the_known_text_begins_with_what_it_is_about() {
    let module = LogModule::Message;
    set_mask(module, u8::MAX);
    let texts = texts(|| {
        log!(module, Level::Debug, conn = 1_u32, "x");
        log!(module, Level::Debug, conn = 1_u32, link = 2_u32, "x");
        log!(module, Level::Debug, conn = 1_u32, link = 2_u32, delivery = 3_u32, "x");
        log!(module, Level::Debug, conn = 1_u32, separator = ": ", "x");
        log!(module, Level::Debug, conn = 1_u32, separator = ":", "x");
        log!(module, Level::Debug, "[C9] x");
    });
    assert_eq!(texts, ["[C1] x", "[C1][L2] x", "[C1][L2][D3] x", "[C1]: x", "[C1]:x", "[C9] x"]);
}

#[test]
fn levels_may_be_known_at_run_time_only_and_change_there() {
    let module = LogModule::Server;
    let log_all = || {
        for level in Level::ALL {
            log!(module, level, "at {}", level.name());
        }
    };
    let levels = |mask| {
        set_mask(module, mask);
        records(log_all).iter().map(|record| record.level).collect::<Vec<_>>()
    };
    assert_eq!(levels(u8::MAX), Level::ALL);
    assert_eq!(levels(Level::Error.and_above()), [Level::Error, Level::Critical]);
    assert_eq!(levels(Level::Debug.bit() | Level::Warning.bit()), [Level::Debug, Level::Warning]);
    assert_eq!(levels(0), []);
    assert_eq!(counts(module), [4; 5], "all are counted");
}

#[test]
fn what_is_not_enabled_is_counted_and_costs_nothing_else() {
    let module = LogModule::Agent;
    set_mask(module, Level::Info.and_above());
    let evaluated = Cell::new(0_u32);
    let argument = || {
        evaluated.set(evaluated.get() + 1);
        evaluated.get()
    };
    let seen = records(|| {
        let cost = allocation_counter::measure(|| {
            for _ in 0..1000 {
                log!(module, Level::Debug, conn = argument(), "{} {}", argument(), argument().to_string());
            }
        });
        assert_eq!(cost.count_total, 0);
    });
    assert_eq!((seen, evaluated.get()), (vec![], 0));
    assert_eq!(counts(module)[0], 1000);
}

#[test]
fn who_logs_does_not_suffer_from_subscribers_and_texts_that_panic() {
    let module = LogModule::Container;
    set_mask(module, u8::MAX);
    with_default(Observer(|_: &Record| panic!("a subscriber")), || {
        log!(module, Level::Error, "one");
        log!(module, Level::Error, "two");
    });
    let texts = texts(|| {
        log!(module, Level::Error, "lost: {}", Broken);
        log!(module, Level::Error, "kept");
    });
    assert_eq!(texts, ["kept"]);
}

#[test]
fn what_libraries_log_is_none_of_it() {
    let records = records(|| {
        tracing::error!("of a library");
        tracing::error!(module = "ROUTER", conn = 1, "of a library");
    });
    assert_eq!(records, []);
}
