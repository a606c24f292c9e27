//! The page `/` of HTTP listeners: a look at the network, as management tells of it.
//!
//! ```text
//!  browser --GET /------------> View: one text (HTML, style, script), whose policy lets nothing else in
//!  browser --GET /network.json> View: the last document
//!                                 |  ^
//!                  begins, while  |  | Document          Schedule: whom to ask what, and when
//!                  somebody looks v  |                   Network:  what was told, rates, who is gone
//!                              Survey (thread "page") -- problems: what is wrong
//!                                 |  ^
//!                        requests v  | answers
//!                         $management of this router and of all others
//! ```
//!
//! The thread that serves HTTP takes what is there and waits for nothing. Nothing is asked, and nothing kept, 10 s after the
//! last request for the document. Everything that others tell is bounded: octets of an answer ([`survey`]), rows and
//! octets of texts ([`report`], [`rows`]), routers ([`network`]), requests a second ([`schedule`]), and the document itself
//! ([`document`]), which names what it leaves out.

mod document;
mod flaps;
mod html;
mod network;
mod problems;
mod report;
mod rows;
mod schedule;
mod survey;

use crate::runtime::now;
use adaptors::http::{Document, Documents};
use adaptors::runtime::Io;
use amqp_core::Instant;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

/// How long nobody has to have looked until nothing is asked any more.
const LINGER: Duration = Duration::from_secs(10);

/// The document until there is one.
const NOTHING_YET: &[u8] = b"{\"number\":0}";

/// The page of a router, for all of its listeners.
#[derive(Debug)]
pub(crate) struct View {
    io: Io,
    desk: Arc<Desk>,
}

/// Where requests and the survey meet.
#[derive(Debug, Default)]
struct Desk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When somebody looked last. None: there is no survey.
    looked: Option<Instant>,
    document: Option<Bytes>,
}

/// What a survey knows of those who look. Its end is the survey's.
#[derive(Debug)]
struct Watched {
    desk: Arc<Desk>,
    is_over: bool,
}

// === impl View ===

impl View {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, desk: Arc::default() }
    }

    fn network(&self) -> Bytes {
        let (is_watched, document) = self.desk.look(now());
        if !is_watched {
            let watched = Watched { desk: Arc::clone(&self.desk), is_over: false };
            let io = self.io.clone();
            if let Err(error) = Builder::new().name("page".to_owned()).spawn(move || survey::run(&io, watched)) {
                survey::complain(&error.to_string());
            }
        }
        document.unwrap_or(Bytes::from_static(NOTHING_YET))
    }
}

impl Documents for View {
    fn find(&self, path: &str) -> Option<Document> {
        match path {
            "/" => Some(html::page()),
            "/network.json" => {
                Some(Document { body: self.network(), content_type: "application/json", version: None, policy: None })
            }
            _ => None,
        }
    }
}

// === impl Desk ===

impl Desk {
    /// Somebody looks. Whether there is a survey, and what it has found.
    fn look(&self, now: Instant) -> (bool, Option<Bytes>) {
        let mut state = self.0.lock();
        (state.looked.replace(now).is_some(), state.document.clone())
    }
}

// === impl Watched ===

impl Watched {
    /// Whether nobody looks any more. Then the next who looks begins anew.
    fn is_over(&mut self, now: Instant) -> bool {
        let mut state = self.desk.0.lock();
        self.is_over = state.looked.is_none_or(|looked| now.since(looked) >= LINGER);
        if self.is_over {
            *state = State::default();
        }
        self.is_over
    }

    fn show(&self, document: Bytes) {
        self.desk.0.lock().document = Some(document);
    }
}

impl Drop for Watched {
    /// However the survey ends, by a panic too.
    fn drop(&mut self) {
        if !self.is_over {
            *self.desk.0.lock() = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Instant {
        Instant::from_micros(second * 1_000_000)
    }

    #[test]
    fn a_survey_lasts_as_long_as_somebody_looks() {
        let desk = Arc::new(Desk::default());
        assert_eq!(desk.look(second(0)), (false, None));
        let mut watched = Watched { desk: Arc::clone(&desk), is_over: false };
        watched.show(Bytes::from_static(b"one"));
        assert_eq!(desk.look(second(5)), (true, Some(Bytes::from_static(b"one"))));
        assert!(!watched.is_over(second(14)));
        assert!(watched.is_over(second(15)));
        assert_eq!(desk.look(second(15)), (false, None), "the next begins anew");
        drop(watched);
        assert_eq!(desk.look(second(16)), (true, None), "and is not disturbed by the end of the former");
    }

    #[test]
    fn a_survey_that_fails_does_not_keep_the_next_from_beginning() {
        let desk = Arc::new(Desk::default());
        desk.look(second(0));
        drop(Watched { desk: Arc::clone(&desk), is_over: false });
        assert_eq!(desk.look(second(1)), (false, None));
    }
}
