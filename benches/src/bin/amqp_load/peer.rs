//! A connection to a router, with the one link that it is for.

use super::clock::{Clock, engine_time};
use super::receiver::{Latency, Receiver};
use super::sender::Sender;
use super::socket::{Input, ReadBuffer, Socket};
use amqp_core::engine::{AttachParams, Config, Connection, Event, LinkKey, SaslConfig};
use amqp_core::performative::{self, Open, Role, Source, Target};
use anyhow::{Context, Result, bail};

/// Large messages need few frames, as with clients that name no limit.
const FRAME_MAX: u32 = 1024 * 1024;
/// Frames. More than credit ever allows.
const SESSION_WINDOW: u32 = 1 << 20;
/// The snd-settle-mode that leaves it to each message.
const MIXED: u8 = 2;

/// What all peers use in turn.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) buffer: ReadBuffer,
    pub(crate) latency: Option<Latency>,
}

/// What the link is for.
#[derive(Debug)]
pub(crate) enum End {
    Sender(Sender),
    Receiver(Receiver),
}

/// A connection with its link.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: Socket,
    engine: Connection,
    address: String,
    link: Option<LinkKey>,
    end: End,
}

// === impl Peer ===

impl Peer {
    /// A client that attaches a link to `address` once the router has opened the connection.
    pub(crate) fn new(socket: Socket, container: String, address: String, end: End) -> Self {
        let sasl =
            SaslConfig::Client { mechanisms: None, username: None, password: None, external: false, hostname: None };
        let config = Config { max_frame_size: FRAME_MAX, session_window: SESSION_WINDOW, sasl, ..Config::default() };
        let mut engine = Connection::new(config);
        engine.open(Open { container_id: container, ..Open::default() });
        Self { socket, engine, address, link: None, end }
    }

    pub(crate) const fn end(&self) -> &End {
        &self.end
    }

    pub(crate) const fn end_mut(&mut self) -> &mut End {
        &mut self.end
    }

    /// Load can begin: a receiver's link is attached, a sender has credit.
    pub(crate) fn is_ready(&self) -> bool {
        self.link.is_some_and(|link| match self.end {
            End::Sender(_) => self.engine.can_start(link),
            End::Receiver(_) => self.engine.is_attached(link),
        })
    }

    /// Not a receiver that has got nothing yet.
    pub(crate) const fn is_reached(&self) -> bool {
        match &self.end {
            End::Sender(_) => true,
            End::Receiver(receiver) => receiver.tally().received > 0,
        }
    }

    /// Reads if there may be something, and writes everything that there is to write.
    pub(crate) fn turn(&mut self, is_readable: bool, shared: &mut Shared) -> Result<()> {
        let mut is_readable = is_readable;
        loop {
            if is_readable {
                is_readable = self.read(&mut shared.buffer)?;
            }
            let now = shared.clock.nanos();
            while let Some(event) = self.engine.poll_event(engine_time(now)) {
                self.on_event(event, now, shared.latency.as_mut())?;
            }
            let has_more = self.advance(now);
            self.engine.flush(engine_time(now));
            let is_written = self.socket.write(self.engine.output())?;
            if !(is_readable || has_more && is_written) {
                return Ok(());
            }
        }
    }

    /// Does what is due by time, but for messages.
    pub(crate) fn tick(&mut self, shared: &mut Shared) -> Result<()> {
        let now = engine_time(shared.clock.nanos());
        if self.engine.poll_timeout().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now);
            self.turn(true, shared)?;
        }
        Ok(())
    }

    /// Says good-bye, and does not wait for an answer.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.engine.close(None);
        self.socket.write(self.engine.output())?;
        Ok(())
    }

    /// True when there may be more to read.
    fn read(&mut self, buffer: &mut ReadBuffer) -> Result<bool> {
        match self.socket.read(buffer)? {
            Input::Octets(data) => {
                self.engine.receive(data);
                return Ok(true);
            }
            Input::Last(data) => self.engine.receive(data),
            Input::Nothing => {}
            Input::Closed => bail!("the router has cut the connection for {}", self.address),
        }
        Ok(false)
    }

    fn on_event(&mut self, event: Event, now: u64, latency: Option<&mut Latency>) -> Result<()> {
        match (event, &mut self.end) {
            (Event::Transfer(transfer), End::Receiver(receiver)) => {
                receiver.on_transfer(&mut self.engine, &transfer, now, latency);
            }
            (Event::Update(update), End::Sender(sender)) => sender.on_update(&update),
            (Event::RemoteOpen(_), _) => self.attach()?,
            (Event::Attached { link, .. }, End::Receiver(receiver)) => receiver.on_attached(&mut self.engine, link),
            (Event::Detached { error, .. } | Event::Ended { error, .. } | Event::Closed { error }, _) => {
                bail!("the router has ended the link for {}: {}", self.address, describe(error.as_deref()));
            }
            (Event::Failed(violation), _) => bail!("the connection for {}: {violation}", self.address),
            _ => {}
        }
        Ok(())
    }

    fn attach(&mut self) -> Result<()> {
        let (role, name) = match self.end {
            End::Sender(_) => (Role::Sender, "sender"),
            End::Receiver(_) => (Role::Receiver, "receiver"),
        };
        let (mut source, mut target) = (Source::default(), Target::default());
        match role {
            Role::Sender => target.address = Some(self.address.clone()),
            Role::Receiver => source.address = Some(self.address.clone()),
        }
        let params = AttachParams {
            name: format!("{name} {}", self.address),
            role,
            source: Some(Box::new(source)),
            target: Some(Box::new(target)),
            snd_settle_mode: MIXED,
        };
        let session = self.engine.begin_session().context("no session")?;
        self.link = Some(self.engine.attach(session, params).context("no link")?);
        Ok(())
    }

    /// Does what the events allow. True when there is more to do once the output has room again.
    fn advance(&mut self, now: u64) -> bool {
        let Some(link) = self.link else { return false };
        match &mut self.end {
            End::Sender(sender) => sender.send(&mut self.engine, link, now),
            End::Receiver(receiver) => {
                receiver.grant(&mut self.engine, link);
                false
            }
        }
    }
}

fn describe(error: Option<&performative::Error>) -> String {
    let Some(error) = error else { return "no error".to_owned() };
    format!("{} {}", error.condition.as_str(), error.description.as_deref().unwrap_or_default())
}
