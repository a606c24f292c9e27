//! Where lines go: whoever logs puts its line into the queue of an output and goes on; a thread writes the queue.
//!
//! A slow or stalled reader, a full disk or a file that cannot be opened therefore costs lines, and nobody's time.

use super::format::{Format, formats};
use super::{json, writer};
use parking_lot::{Condvar, Mutex};
use router_engine::log::Level;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// Octets of lines that wait for an output at most; what comes beyond is dropped and counted.
pub(super) const QUEUE: usize = 8 << 20;

const STDERR_NAME: &str = "stderr";

/// A file, a standard stream, or syslog. When it is dropped, what waits is still written.
pub(super) struct Output {
    name: String,
    format: Format,
    queue: Arc<Queue>,
}

/// Lines between those who log and the thread that writes.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There are lines, or the output was dropped.
    changed: Condvar,
    /// Nothing waits any more, or what waits cannot be written.
    settled: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    octets: usize,
    /// Lines that found no room.
    dropped: u64,
    /// The writer has lines that are not written yet.
    writing: bool,
    /// The last attempt to write failed.
    failing: bool,
    closed: bool,
    /// What is written to may be another file by now.
    stale: bool,
}

/// A line with its end.
struct Line {
    level: Level,
    text: String,
}

/// Lines to write at once.
#[derive(Debug)]
pub(super) struct Batch {
    /// The level of the first.
    pub(super) level: Level,
    pub(super) text: String,
    /// Octets that are written already.
    pub(super) written: usize,
}

// === impl Output ===

impl Output {
    /// The process's stderr.
    pub(super) fn stderr() -> Arc<Self> {
        static STDERR: OnceLock<Arc<Output>> = OnceLock::new();
        Arc::clone(STDERR.get_or_init(|| Self::unopened(STDERR_NAME)))
    }

    /// Opens an output.
    ///
    /// # Errors
    /// When it cannot be opened now.
    pub(super) fn open(name: &str) -> io::Result<Arc<Self>> {
        if name == STDERR_NAME {
            return Ok(Self::stderr());
        }
        let target = if writer::waits_to_open(name) { None } else { Some(writer::Target::open(name)?) };
        Self::start(name, target)
    }

    /// An output that is opened by and by: when that fails, it is tried again.
    pub(super) fn lazy(name: &str) -> Arc<Self> {
        if name == STDERR_NAME { Self::stderr() } else { Self::unopened(name) }
    }

    /// One whose lines have a format, whatever the environment says.
    #[cfg(test)]
    pub(super) fn formatted(name: &str, format: Format) -> Arc<Self> {
        let queue = Arc::<Queue>::default();
        writer::spawn(name, None, Arc::clone(&queue)).expect("a thread");
        Arc::new(Self { name: name.to_owned(), format, queue })
    }

    fn unopened(name: &str) -> Arc<Self> {
        Self::start(name, None).unwrap_or_else(|_| {
            let closed = State { closed: true, ..State::default() };
            let queue = Queue { state: Mutex::new(closed), ..Queue::default() };
            Self::of(name, Arc::new(queue))
        })
    }

    fn start(name: &str, target: Option<writer::Target>) -> io::Result<Arc<Self>> {
        let queue = Arc::<Queue>::default();
        writer::spawn(name, target, Arc::clone(&queue))?;
        Ok(Self::of(name, queue))
    }

    fn of(name: &str, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), format: formats().of(name), queue })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether whoever takes the lines adds the time.
    pub(super) fn has_own_time(&self) -> bool {
        self.name == writer::SYSLOG
    }

    /// Has a line written. Never waits; the line is dropped when too many wait already.
    pub(super) fn write(&self, level: Level, text: String) {
        self.queue.push(Line { level, text });
    }

    /// Has a text written that is no event.
    pub(super) fn notice(&self, level: Level, text: &str) {
        let line = match self.format {
            Format::Text => format!("{text}\n"),
            Format::Json => json::notice(SystemTime::now(), level, text),
        };
        self.write(level, line);
    }

    /// The file may have been renamed: the next line opens it anew.
    pub(super) fn reopen(&self) {
        self.queue.state.lock().stale = true;
    }

    /// Where its lines wait.
    pub(super) const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_one();
    }
}

// === impl Queue ===

impl Queue {
    fn push(&self, line: Line) {
        let mut state = self.state.lock();
        let octets = line.octets();
        if state.closed || state.octets + octets > QUEUE {
            state.dropped += 1;
            return;
        }
        state.octets += octets;
        state.lines.push_back(line);
        let sleeps = !state.writing;
        drop(state);
        if sleeps {
            self.changed.notify_one();
        }
    }

    /// Waits until what was logged before is written. Does not wait for an output that cannot be written.
    pub(super) fn flush(&self, until: Instant) {
        let mut state = self.state.lock();
        while !state.is_settled() && !self.settled.wait_until(&mut state, until).timed_out() {}
    }

    /// The next lines, at least one and then as many as fit in `limit` octets. Waits for them; `None` at the end.
    pub(super) fn next(&self, limit: usize) -> Option<Batch> {
        let mut state = self.state.lock();
        while state.lines.is_empty() {
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        let first = state.pop()?;
        let mut batch = Batch { level: first.level, text: first.text, written: 0 };
        while state.lines.front().is_some_and(|line| batch.text.len() + line.text.len() <= limit) {
            batch.text.extend(state.pop().map(|line| line.text));
        }
        state.writing = true;
        Some(batch)
    }

    /// Whether it is to be opened anew. True once.
    pub(super) fn is_stale(&self) -> bool {
        std::mem::take(&mut self.state.lock().stale)
    }

    /// The batch was written. Returns how many lines were dropped before, when there is something to tell: after
    /// failures, and when the writer has caught up.
    pub(super) fn written(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.writing = false;
        if state.is_settled() {
            self.settled.notify_all();
        }
        let recovered = std::mem::take(&mut state.failing);
        let caught_up = state.dropped > 0 && state.octets < QUEUE / 2;
        (recovered || caught_up).then(|| std::mem::take(&mut state.dropped))
    }

    /// The batch could not be written. True when that is new.
    pub(super) fn failed(&self) -> bool {
        let first = !std::mem::replace(&mut self.state.lock().failing, true);
        self.settled.notify_all();
        first
    }

    /// Waits before the next attempt. False when there shall be none: then what waits is given up.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.closed && !self.changed.wait_until(&mut state, until).timed_out() {}
        if state.closed {
            state.failing = true;
            self.settled.notify_all();
        }
        !state.closed
    }
}

impl State {
    fn pop(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.octets -= line.octets();
        Some(line)
    }

    fn is_settled(&self) -> bool {
        self.failing || (self.lines.is_empty() && !self.writing)
    }
}

impl Line {
    /// What it counts for in the queue.
    fn octets(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, text: &str) {
        queue.push(Line { level: Level::Info, text: text.to_owned() });
    }

    #[test]
    fn lines_keep_their_order_and_come_in_batches() {
        let queue = Queue::default();
        ["one\n", "two\n", "three\n"].into_iter().for_each(|line| push(&queue, line));
        assert_eq!(queue.next(8).expect("lines").text, "one\ntwo\n");
        assert_eq!(queue.next(0).expect("a line").text, "three\n");
        assert_eq!(queue.written(), None);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let queue = Queue::default();
        let line = "x".repeat(QUEUE / 4);
        (0..5).for_each(|_| push(&queue, &line));
        // Room for less than four, because lines cost more than their text.
        queue.next(0).expect("a line");
        assert_eq!(queue.written(), None, "there is more than half to catch up with");
        queue.next(0).expect("a line");
        assert_eq!(queue.written(), Some(2));
        queue.next(0).expect("a line");
        assert_eq!(queue.written(), None);
    }

    #[test]
    fn failures_are_told_once_until_writing_works_again() {
        let queue = Queue::default();
        push(&queue, "x");
        queue.next(0).expect("a line");
        assert_eq!([queue.failed(), queue.failed()], [true, false]);
        assert_eq!(queue.written(), Some(0));
        assert!(queue.failed());
    }

    #[test]
    fn nobody_waits_for_an_output_that_fails_or_is_gone() {
        let output = Output::lazy("/dev/full");
        output.write(Level::Info, "lost\n".to_owned());
        // Returns when the first attempt has failed, which is before the end of time.
        output.queue().flush(Instant::now() + Duration::from_secs(3600));
        let queue = Arc::clone(&output.queue);
        drop(output);
        assert!(!queue.pause(Duration::from_secs(3600)));
    }
}
