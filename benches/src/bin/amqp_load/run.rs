//! The loop, and what a run consists of:
//!
//! ```text
//!  receivers attach -> senders attach, get credit -> start -> all are reached -> warm-up -> mark -> time -> mark -> stop
//!  -> nothing more comes
//! ```

use super::client::{Client, End};
use super::message::Template;
use super::options::{Options, Shape};
use super::peer::{Peer, Shared};
use super::receiver::{Latency, Receiver};
use super::report::{self, Mark, Sums};
use super::schedule::Schedule;
use super::sender::{Pace, Sender};
use super::socket::Socket;
use super::usage::Usage;
use anyhow::{Context, Result, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde_json::Value;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;
/// How long all links take to be ready at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing comes before nothing more is expected.
const QUIET: Duration = Duration::from_secs(3);
/// How often connections look at the time.
const TICK: Duration = Duration::from_millis(500);
/// The timer's token; those of peers are their indices.
const TIMER: Token = Token(usize::MAX);

/// All connections.
struct Load<'a> {
    options: &'a Options,
    poll: Poll,
    events: Events,
    /// Wakes in time for the next message, more exactly than the poll's own limit does.
    timer: TimerFd,
    /// What the timer is set to, nanoseconds.
    armed: Option<u64>,
    /// Receivers, then senders.
    peers: Vec<Peer>,
    shared: Shared,
    next_tick: u64,
    /// The longest time for which the loop stood still, nanoseconds.
    longest_pause: u64,
}

/// Applies the load, and returns the report.
pub(crate) fn run(options: &Options) -> Result<Value> {
    let mut load = Load::new(options)?;
    let result = load.run();
    // A machine that stood still may be why.
    result.with_context(|| format!("(the longest pause: {} ms)", load.longest_pause / 1_000_000))
}

// === impl Load ===

impl<'a> Load<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        let shared = Shared::new();
        let events = Events::with_capacity(EVENTS);
        Ok(Self {
            options,
            poll,
            events,
            timer,
            armed: None,
            peers: Vec::new(),
            shared,
            next_tick: 0,
            longest_pause: 0,
        })
    }

    /// Does everything, in order.
    fn run(&mut self) -> Result<Value> {
        let template = Template::new(self.options.size);
        let shape = self.options.shape;
        // There is credit for a multicast address before all its receivers are known.
        let may_be_early = matches!(shape, Shape::Multicast(_));
        for index in 0..shape.receivers() {
            self.connect(index, End::Receiver(Receiver::new(template.clone(), self.options.credit, may_be_early)))?;
        }
        self.await_ready("links are not ready", Peer::is_ready)?;
        for index in 0..shape.senders() {
            self.connect(index, End::Sender(Sender::new(template.clone(), self.options.settled, may_be_early)))?;
        }
        self.await_ready("links are not ready", Peer::is_ready)?;
        self.start()?;
        self.await_ready("not all receivers get messages", Peer::is_reached)?;
        let window = self.begin()?;
        self.go_on_until(window.start)?;
        let first = self.mark()?;
        self.go_on_until(window.end)?;
        let last = self.mark()?;
        self.stop()?;
        let sums = self.sums();
        for peer in &mut self.peers {
            peer.close(&mut self.shared)?;
        }
        report::report(self.options, (&first, &last), &sums, self.shared.latency.as_ref())
    }

    fn connect(&mut self, index: usize, end: End) -> Result<()> {
        let address = match end {
            End::Sender(_) => self.options.sender,
            End::Receiver(_) => self.options.receiver,
        };
        let number = self.peers.len();
        let socket = Socket::connect(address, self.poll.registry(), Token(number))?;
        let client = Client::new(format!("amqp_load {number}"), &self.options.shape.address(index), end);
        let mut peer = Peer::new(socket, client);
        peer.turn(false, &mut self.shared)?;
        self.peers.push(peer);
        Ok(())
    }

    /// Goes on until all peers are as far as `is_ready` tells.
    fn await_ready(&mut self, otherwise: &str, is_ready: fn(&Peer) -> bool) -> Result<()> {
        let end = self.shared.clock.nanos() + nanos(PATIENCE);
        while !self.peers.iter().all(is_ready) {
            ensure!(self.shared.clock.nanos() < end, "{otherwise} after {} s", PATIENCE.as_secs());
            self.step(end)?;
        }
        Ok(())
    }

    /// Lets senders send.
    fn start(&mut self) -> Result<()> {
        let start = self.shared.clock.nanos();
        let senders = self.options.shape.senders();
        let schedules: Vec<_> = (0..senders as u64)
            .map(|index| Some(Schedule::new(start, self.options.rate?, senders as u64, index)))
            .collect();
        let copies = self.options.shape.copies();
        let mut to_receivers = schedules.iter().flat_map(|schedule| std::iter::repeat_n(*schedule, copies));
        let mut of_senders = schedules.iter();
        for peer in &mut self.peers {
            match peer.end_mut() {
                End::Receiver(receiver) => receiver.set_schedule(to_receivers.next().flatten()),
                End::Sender(sender) => {
                    sender.set_pace(of_senders.next().copied().flatten().map_or(Pace::Credit, Pace::Times));
                    peer.turn(false, &mut self.shared)?;
                }
            }
        }
        Ok(())
    }

    /// All receivers are reached: lets the warm-up begin, and returns the time to measure that follows.
    fn begin(&mut self) -> Result<Range<u64>> {
        let from = self.shared.clock.nanos() + nanos(self.options.warm_up);
        let window = from..from + nanos(self.options.time);
        if self.options.rate.is_some() {
            self.shared.latency = Some(Latency::new(window.clone())?);
        }
        for peer in &mut self.peers {
            if let End::Sender(sender) = peer.end_mut() {
                sender.on_reached();
            }
        }
        Ok(window)
    }

    /// Lets senders send no more, and waits for what is on its way.
    fn stop(&mut self) -> Result<()> {
        for peer in &mut self.peers {
            if let End::Sender(sender) = peer.end_mut() {
                sender.set_pace(Pace::Stopped);
            }
        }
        let mut before = None;
        let mut quiet_at = 0;
        while !self.is_complete() {
            let now = self.shared.clock.nanos();
            let sums = self.sums();
            let progress = (sums.received, sums.outcomes.total());
            if before.replace(progress) != Some(progress) {
                quiet_at = now + nanos(QUIET);
            }
            if now >= quiet_at {
                return Ok(());
            }
            self.step(quiet_at)?;
        }
        Ok(())
    }

    fn go_on_until(&mut self, end: u64) -> Result<()> {
        while self.shared.clock.nanos() < end {
            self.step(end)?;
        }
        Ok(())
    }

    /// Waits for something to happen, until `end` at most, and does what follows from it.
    fn step(&mut self, end: u64) -> Result<()> {
        let before = self.shared.clock.nanos();
        self.poll_events(end)?;
        for event in &self.events {
            if let Some(peer) = self.peers.get_mut(event.token().0) {
                peer.turn(event.is_readable(), &mut self.shared)?;
            }
        }
        self.send_in_time()?;
        let now = self.shared.clock.nanos();
        self.longest_pause = self.longest_pause.max((now - before).saturating_sub(nanos(TICK)));
        if now >= self.next_tick {
            self.next_tick = now + nanos(TICK);
            for peer in &mut self.peers {
                peer.tick(&mut self.shared)?;
            }
        }
        Ok(())
    }

    fn poll_events(&mut self, end: u64) -> Result<()> {
        let now = self.shared.clock.nanos();
        let limit = end.min(self.next_tick).saturating_sub(now);
        match self.poll.poll(&mut self.events, Some(Duration::from_nanos(limit))) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            result => Ok(result?),
        }
    }

    /// Sends the messages whose time has come, and sets the timer to the next.
    fn send_in_time(&mut self) -> Result<()> {
        if self.options.rate.is_none() {
            return Ok(());
        }
        let now = self.shared.clock.nanos();
        let mut next = None;
        for peer in &mut self.peers {
            if next_time(peer).is_some_and(|time| time <= now) {
                peer.turn(false, &mut self.shared)?;
            }
            // Who is behind has no credit, and goes on when that comes.
            let ahead = next_time(peer).filter(|&time| time > now);
            next = [next, ahead].into_iter().flatten().min();
        }
        if next != self.armed {
            self.armed = next;
            if let Some(time) = next {
                let wait = time.saturating_sub(self.shared.clock.nanos()).max(1);
                let expiration = Expiration::OneShot(Duration::from_nanos(wait).into());
                self.timer.set(expiration, TimerSetTimeFlags::empty())?;
            }
        }
        Ok(())
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            at: self.shared.clock.nanos(),
            sent: self.senders().map(Sender::sent).sum(),
            received: self.receivers().map(|receiver| receiver.tally().received).collect(),
            routers: Usage::of(&self.options.pids)?,
            load: Usage::of(&[std::process::id()])?,
        })
    }

    /// Everything that was sent is accounted for.
    fn is_complete(&self) -> bool {
        self.senders().all(Sender::is_told_all)
            && self.receivers().zip(self.sent_to_each()).all(|(receiver, sent)| receiver.tally().next() >= sent)
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (receiver, sent) in self.receivers().zip(self.sent_to_each()) {
            sums.add_receiver(receiver.tally(), sent, receiver.faults());
        }
        for sender in self.senders() {
            sums.sent += sender.sent();
            sums.early += sender.early();
            sums.outcomes = sums.outcomes.plus(sender.outcomes());
        }
        sums
    }

    /// What was sent to the first receiver, the second, and so on.
    fn sent_to_each(&self) -> impl Iterator<Item = u64> {
        let copies = self.options.shape.copies();
        self.senders().flat_map(move |sender| std::iter::repeat_n(sender.sent(), copies))
    }

    fn senders(&self) -> impl Iterator<Item = &Sender> {
        self.peers.iter().filter_map(|peer| match peer.end() {
            End::Sender(sender) => Some(sender),
            End::Receiver(_) => None,
        })
    }

    fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.peers.iter().filter_map(|peer| match peer.end() {
            End::Receiver(receiver) => Some(receiver),
            End::Sender(_) => None,
        })
    }
}

fn next_time(peer: &Peer) -> Option<u64> {
    match peer.end() {
        End::Sender(sender) => sender.next_time(),
        End::Receiver(_) => None,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
