//! Opening and closing of the connection (part 2, 2.4; spec `amqp-endpoint.md` 1.1 and 4).

use super::connection::Connection;
use super::error::Violation;
use super::event::{Event, Status};
use super::limits::MIN_MAX_FRAME_SIZE;
use crate::frame::Preface;
use crate::performative::{Close, Error, Open, Performative};
use std::time::Duration;

// === impl Connection ===

impl Connection {
    /// Sends our open, as soon as the layers below are ready. Fields that are absent are filled in
    /// from the configuration; a max-frame-size or channel-max that is given replaces it.
    pub fn open(&mut self, mut open: Open) {
        if self.ends.open_sent || self.status != Status::Running {
            return;
        }
        self.config.max_frame_size = *open.max_frame_size.get_or_insert(self.config.max_frame_size);
        self.config.channel_max = open.channel_max.unwrap_or(self.config.channel_max);
        open.channel_max = Some(self.config.channel_max).filter(|&max| max != u16::MAX);
        if open.idle_time_out.is_none() {
            open.idle_time_out = self.config.idle_timeout.map(|t| millis(t / 2)).filter(|&ms| ms > 0);
        }
        if self.is_ready() {
            self.send_open(open);
        } else {
            self.ends.waiting_open = Some(Box::new(open));
        }
    }

    /// Closes the connection, with an error or in good order, and waits for the peer's answer.
    /// What still comes is discarded. A client that has not sent its AMQP header yet has no frame for it, nor has a server
    /// within SASL: they end without.
    pub fn close(&mut self, error: Option<Box<Error>>) {
        if self.ends.close_sent || self.status != Status::Running {
            return;
        }
        if (!self.is_server() && !self.is_ready()) || self.layer.is_sasl() {
            return self.finish();
        }
        self.flush_before_close();
        self.minimal_open();
        self.send_close(error);
        if self.ends.close_received {
            self.finish();
        }
    }

    /// Ends the connection without any further octet.
    pub fn drop_transport(&mut self) {
        self.wire.output.clear();
        self.status = Status::Dropped;
        self.forget();
    }

    /// Sends an open that was given before the layer was ready.
    pub(super) fn send_waiting_open(&mut self) {
        if let Some(open) = self.ends.waiting_open.take() {
            self.send_open(*open);
        }
    }

    fn send_open(&mut self, open: Open) {
        self.send_header();
        self.ends.open_sent = true;
        self.wire.frame(0, &Performative::Open(Box::new(open)));
    }

    pub(super) fn send_header(&mut self) {
        if !self.ends.header_sent {
            self.ends.header_sent = true;
            self.wire.preface(Preface::Amqp);
        }
    }

    fn send_close(&mut self, error: Option<Box<Error>>) {
        self.ends.close_sent = true;
        self.wire.frame(0, &Performative::Close(Close { error }));
    }

    /// Whatever the peer sent, a close must follow an open.
    fn minimal_open(&mut self) {
        if !self.ends.open_sent {
            self.send_open(Open::default());
        }
    }

    pub(super) fn on_open(&mut self, open: Box<Open>) -> Result<Event, Violation> {
        self.ends.open_received = true;
        self.peer_max_frame = open.max_frame_size.unwrap_or(u32::MAX).max(MIN_MAX_FRAME_SIZE);
        self.peer_channel_max = open.channel_max.unwrap_or(u16::MAX);
        self.heartbeat = open.idle_time_out.filter(|&ms| ms > 0).map(|ms| Duration::from_millis(u64::from(ms)) / 2);
        Ok(Event::RemoteOpen(open))
    }

    pub(super) fn on_close(&mut self, error: Option<Box<Error>>) -> Option<Event> {
        self.ends.close_received = true;
        if !self.ends.close_sent {
            self.flush_before_close();
            self.minimal_open();
            self.send_close(None);
        }
        self.finish();
        Some(Event::Closed { error })
    }

    /// Ends the connection because of `violation`, telling the peer in the way that the layer allows.
    pub(super) fn fail(&mut self, violation: Violation) -> Event {
        match violation {
            Violation::SkippedAuthentication => {
                self.wire.output.clear();
                self.status = Status::Dropped;
                self.forget();
            }
            // The outcome frame has told it all, or it is nobody's business: no AMQP header follows.
            Violation::ClientUnauthorized { .. }
            | Violation::AuthenticationFailed { .. }
            | Violation::ServerUnauthentic { .. } => self.finish(),
            _ => {
                if !self.ends.close_sent {
                    self.minimal_open();
                    self.send_close(Some(violation.to_error()));
                }
                self.finish();
            }
        }
        self.failure.get_or_insert_with(|| violation.clone());
        Event::Failed(violation)
    }

    fn finish(&mut self) {
        self.status = Status::Closing;
        self.wire.trace(|| "  -> EOS".to_owned());
        self.forget();
    }

    fn forget(&mut self) {
        self.timers.clear();
        self.input.clear();
        self.cursor = None;
    }

    /// Dispositions that were made before the close must not be lost.
    fn flush_before_close(&mut self) {
        for slot in std::mem::take(&mut self.dirty_sessions) {
            self.flush_dispositions(slot);
        }
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
