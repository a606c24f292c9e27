//! An AMQP client with one link, without its socket. It does what the load needs and nothing else: a general one, which
//! keeps an account of each delivery, would use the processor that the router is to have.

use super::receiver::{Latency, Receiver};
use super::sender::Sender;
use super::wire::{Frame, parse, put, put_opening};
use amqp_core::frame::{HEADER_LEN, Preface, write_empty};
use amqp_core::performative::{Close, Error, Performative, Role};
use anyhow::{Result, bail, ensure};
use bytes::{Buf, BytesMut};

/// What the link is for.
#[derive(Debug)]
pub(crate) enum End {
    Sender(Sender),
    Receiver(Receiver),
}

/// The state of a connection, session and link.
#[derive(Debug)]
pub(crate) struct Client {
    end: End,
    /// The router has answered the protocol header.
    is_begun: bool,
    is_attached: bool,
    /// How often the router wants to hear from us, nanoseconds.
    heartbeat: Option<u64>,
    /// Frames to write, but for transfers.
    frames: BytesMut,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(container: String, address: &str, end: End) -> Self {
        let mut frames = BytesMut::new();
        let role = match end {
            End::Sender(_) => Role::Sender,
            End::Receiver(_) => Role::Receiver,
        };
        put_opening(&mut frames, container, role, address);
        Self { end, is_begun: false, is_attached: false, heartbeat: None, frames }
    }

    pub(crate) const fn end(&self) -> &End {
        &self.end
    }

    pub(crate) const fn end_mut(&mut self) -> &mut End {
        &mut self.end
    }

    /// Load can begin: a receiver's link is attached, a sender has credit.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_attached
            && match &self.end {
                End::Sender(sender) => sender.has_credit(),
                End::Receiver(_) => true,
            }
    }

    /// How often the router wants to hear from us, nanoseconds.
    pub(crate) const fn heartbeat(&self) -> Option<u64> {
        self.heartbeat
    }

    /// Looks at what has come, and returns how many octets of it are done with: all but the begin of a frame.
    pub(crate) fn receive(&mut self, input: &[u8], now: u64, mut latency: Option<&mut Latency>) -> Result<usize> {
        let mut rest = input;
        if !self.is_begun {
            let Some((header, behind)) = rest.split_at_checked(HEADER_LEN) else { return Ok(0) };
            ensure!(header == Preface::Amqp.octets(), "no AMQP without security layer here: {header:?}");
            self.is_begun = true;
            rest = behind;
        }
        loop {
            match parse(rest)? {
                Frame::Partial => break,
                Frame::Empty { size } => rest = &rest[size..],
                Frame::Body { size, performative, payload } => {
                    rest = &rest[size..];
                    self.on_frame(performative, payload, now, latency.as_deref_mut())?;
                }
            }
        }
        if let End::Receiver(receiver) = &mut self.end {
            receiver.answer(&mut self.frames);
        }
        Ok(input.len() - rest.len())
    }

    /// Has the router hear from us.
    pub(crate) fn beat(&mut self) {
        write_empty(&mut self.frames);
    }

    pub(crate) fn close(&mut self) {
        put(&mut self.frames, Close::default());
    }

    /// What is to be written next; nothing when that is all for `now`.
    pub(crate) fn output(&mut self, now: u64) -> &[u8] {
        // Frames must not get into the middle of transfers, so these are written to their end once they are begun.
        if let End::Sender(sender) = &mut self.end {
            let is_begun = !sender.unwritten().is_empty();
            if is_begun || self.frames.is_empty() && sender.prepare(now) {
                return sender.unwritten();
            }
        }
        &self.frames
    }

    /// So many octets of the output were written.
    pub(crate) fn advance(&mut self, octets: usize) {
        match &mut self.end {
            End::Sender(sender) if !sender.unwritten().is_empty() => sender.advance(octets),
            _ => self.frames.advance(octets),
        }
    }

    fn on_frame(
        &mut self,
        performative: Performative,
        payload: &[u8],
        now: u64,
        latency: Option<&mut Latency>,
    ) -> Result<()> {
        match (performative, &mut self.end) {
            (Performative::Transfer(transfer), End::Receiver(receiver)) => {
                receiver.on_transfer(&transfer, payload, now, latency, &mut self.frames)?;
            }
            (Performative::Disposition(disposition), End::Sender(sender)) => sender.on_disposition(&disposition),
            (Performative::Flow(flow), End::Sender(sender)) => sender.on_flow(&flow),
            (Performative::Open(open), end) => {
                self.heartbeat = open.idle_time_out.filter(|&ms| ms > 0).map(|ms| u64::from(ms) * 1_000_000 / 2);
                if let End::Sender(sender) = end {
                    sender.on_open(open.max_frame_size.unwrap_or(u32::MAX))?;
                }
            }
            (Performative::Begin(begin), End::Sender(sender)) => sender.on_begin(begin.incoming_window),
            (Performative::Begin(begin), End::Receiver(receiver)) => receiver.on_begin(begin.next_outgoing_id),
            (Performative::Attach(attach), end) => {
                self.is_attached = true;
                if let End::Receiver(receiver) = end {
                    receiver.on_attach(attach.initial_delivery_count.unwrap_or(0), &mut self.frames);
                }
            }
            (Performative::Detach(detach), _) => bail!("the link was detached: {}", describe(detach.error.as_deref())),
            (Performative::End(end), _) => bail!("the session was ended: {}", describe(end.error.as_deref())),
            (Performative::Close(close), _) => bail!("the connection was closed: {}", describe(close.error.as_deref())),
            _ => {}
        }
        Ok(())
    }
}

fn describe(error: Option<&Error>) -> String {
    let Some(error) = error else { return "no error".to_owned() };
    format!("{} {}", error.condition.as_str(), error.description.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests;
