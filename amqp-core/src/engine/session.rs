//! Sessions (part 2, 2.5).
//!
//! ```text
//!   peer's BEGIN -> answered at once            our begin_session -> BEGIN, usable for attaches
//!            \                                   /   (transfers wait for the peer's window)
//!             '-----------> mapped <------------'
//!   peer's END -> links detached, answered      end_session -> END, the channel drains until the
//!                 at once, gone                               peer's END
//! ```

use super::connection::Connection;
use super::deliveries::Deliveries;
use super::disposition::Pending;
use super::error::Violation;
use super::event::Event;
use super::ids::{IdAlloc, IdMap, LinkKey, SessionKey};
use super::limits::{HANDLE_MAX, OUTGOING_WINDOW};
use super::window::Windows;
use crate::performative::{Begin, End, Error, Performative};

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: SessionKey,
    /// Our channel.
    pub(super) channel: u16,
    /// The peer's channel; `None` before its begin.
    pub(super) remote_channel: Option<u16>,
    /// We have sent END: what still comes is ignored.
    pub(super) ended: bool,
    /// Listed among the sessions that have something to flush.
    pub(super) dirty: bool,
    /// Sending was stopped by the window; the caller wants to know when it opens.
    pub(super) blocked: bool,
    /// A flow was asked for by the peer.
    pub(super) flow_due: bool,
    pub(super) windows: Windows,
    /// The link that the last transfer came on.
    pub(super) receiving: Option<LinkKey>,
    pub(super) handles: IdAlloc,
    pub(super) remote_handles: IdMap,
    pub(super) remote_handle_max: u32,
    pub(super) next_delivery_id: u32,
    /// The delivery-id expected next; `None` before the first delivery.
    pub(super) next_incoming_delivery: Option<u32>,
    pub(super) incoming: Deliveries,
    pub(super) outgoing: Deliveries,
    pub(super) pending: Vec<Pending>,
}

// === impl Session ===

impl Session {
    fn new(key: SessionKey, channel: u16, window: u32) -> Self {
        Self {
            key,
            channel,
            remote_channel: None,
            ended: false,
            dirty: false,
            blocked: false,
            flow_due: false,
            windows: Windows::new(window),
            receiving: None,
            handles: IdAlloc::default(),
            remote_handles: IdMap::default(),
            remote_handle_max: u32::MAX,
            next_delivery_id: 0,
            next_incoming_delivery: None,
            incoming: Deliveries::default(),
            outgoing: Deliveries::default(),
            pending: Vec::new(),
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Begins a session. `None` when the connection is not open for it or all channels are in use.
    pub fn begin_session(&mut self) -> Option<SessionKey> {
        if !self.can_operate() {
            return None;
        }
        let slot = self.new_session()?;
        self.send_begin(slot);
        self.sessions.get(slot as usize).map(|s| s.key)
    }

    /// Ends a session and forgets its links without telling. The peer's answer is awaited silently.
    pub fn end_session(&mut self, session: SessionKey, error: Option<Box<Error>>) {
        let Some(slot) = self.session_slot(session) else { return };
        for link in self.lose_deliveries(slot) {
            self.free_link(link);
        }
        // Dispositions made before this call must not be lost.
        self.flush_session(slot);
        if let Some(s) = self.sessions.get_mut(slot as usize)
            && !s.ended
        {
            s.ended = true;
            let channel = s.channel;
            self.wire.frame(channel, &Performative::End(End { error }));
        }
    }

    /// Counts transfers that were received against the session's incoming window, for as long as their payload is kept.
    pub fn keep(&mut self, session: SessionKey, transfers: u32) {
        self.with_windows(session, |windows| {
            windows.keep(transfers);
            false
        });
    }

    /// Takes back [`Self::keep`]: the window opens by so many transfers.
    pub fn consume(&mut self, session: SessionKey, transfers: u32) {
        self.with_windows(session, |windows| {
            windows.consume(transfers);
            windows.wants_flow()
        });
    }

    /// Makes the session's incoming window narrower than configured, to so many transfers, or ends that. What the peer
    /// was promised before is still taken.
    pub fn narrow_window(&mut self, session: SessionKey, to: Option<u32>) {
        self.with_windows(session, |windows| windows.narrow(to));
    }

    /// Changes the windows of a session; `change` tells whether the peer has to hear of it.
    fn with_windows(&mut self, session: SessionKey, change: impl FnOnce(&mut Windows) -> bool) {
        let Some(slot) = self.session_slot(session) else { return };
        if let Some(s) = self.sessions.get_mut(slot as usize)
            && change(&mut s.windows)
        {
            s.flow_due = true;
            self.mark_session(slot);
        }
    }

    /// Transfer frames that the peer's window allows now.
    #[must_use]
    pub fn session_window(&self, session: SessionKey) -> u32 {
        self.session_slot(session).and_then(|slot| self.sessions.get(slot as usize)).map_or(0, |s| s.windows.can_send())
    }

    /// Links of a session.
    #[must_use]
    pub fn session_links(&self, session: SessionKey) -> usize {
        self.session_slot(session).map_or(0, |slot| self.links_of(slot).len())
    }

    /// Transfers that are kept, of all sessions.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.sessions.iter().map(|(_, s)| u64::from(s.windows.kept())).sum()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn session_slot(&self, key: SessionKey) -> Option<u32> {
        self.sessions.get(key.slot as usize).filter(|s| s.key == key && !s.ended).map(|_| key.slot)
    }

    /// The slot of the session that the peer calls `channel`.
    #[inline]
    pub(super) fn by_channel(&self, channel: u16) -> Result<u32, Violation> {
        self.channels_in.get(u32::from(channel)).ok_or(Violation::NoSuchChannel(channel))
    }

    /// The slots of a session's links.
    pub(super) fn links_of(&self, slot: u32) -> Vec<u32> {
        self.sessions.get(slot as usize).map_or_else(Vec::new, |s| s.handles.slots().collect())
    }

    /// Forgets all deliveries of a session that is over, and returns the slots of its links. A link that is freed with
    /// deliveries searches the tables for them, which takes too long for many links.
    fn lose_deliveries(&mut self, slot: u32) -> Vec<u32> {
        if let Some(s) = self.sessions.get_mut(slot as usize) {
            s.incoming = Deliveries::default();
            s.outgoing = Deliveries::default();
        }
        let links = self.links_of(slot);
        for link in &links {
            if let Some(l) = self.links.get_mut(*link as usize) {
                l.unsettled = 0;
            }
        }
        links
    }

    pub(super) fn mark_session(&mut self, slot: u32) {
        if let Some(s) = self.sessions.get_mut(slot as usize)
            && !s.dirty
        {
            s.dirty = true;
            self.dirty_sessions.push(slot);
        }
    }

    fn new_session(&mut self) -> Option<u32> {
        let slot = u32::try_from(self.sessions.vacant_key()).ok()?;
        let max = u32::from(self.channel_max());
        let channel = u16::try_from(self.channels_out.take(slot, max)?).ok()?;
        let key = SessionKey { slot, serial: self.next_serial() };
        let window = self.config.session_window;
        self.sessions.insert(Box::new(Session::new(key, channel, window)));
        Some(slot)
    }

    fn send_begin(&mut self, slot: u32) {
        let Some(s) = self.sessions.get(slot as usize) else { return };
        let begin = Begin {
            remote_channel: s.remote_channel,
            next_outgoing_id: 0,
            incoming_window: self.config.session_window,
            outgoing_window: OUTGOING_WINDOW,
            handle_max: Some(HANDLE_MAX),
            ..Begin::default()
        };
        self.wire.frame(s.channel, &Performative::Begin(Box::new(begin)));
    }

    pub(super) fn on_begin(&mut self, channel: u16, begin: &Begin) -> Result<Option<Event>, Violation> {
        let max = self.channel_max();
        if channel > max {
            return Err(Violation::ChannelAboveMax { channel, max });
        }
        if self.channels_in.get(u32::from(channel)).is_some() {
            return Err(Violation::ChannelInUse(channel));
        }
        let answered = begin.remote_channel;
        let slot = match answered {
            Some(ours) => self
                .sessions
                .iter()
                .find(|(_, s)| s.channel == ours && s.remote_channel.is_none())
                .and_then(|(slot, _)| u32::try_from(slot).ok())
                .ok_or(Violation::NoSuchChannel(ours))?,
            None => self.new_session().ok_or(Violation::ChannelAboveMax { channel, max })?,
        };
        let Some(s) = self.sessions.get_mut(slot as usize) else { return Ok(None) };
        s.remote_channel = Some(channel);
        s.remote_handle_max = begin.handle_max.unwrap_or(u32::MAX);
        s.windows.on_begin(begin.next_outgoing_id, begin.incoming_window);
        let (key, blocked) = (s.key, std::mem::take(&mut s.blocked));
        self.channels_in.insert(u32::from(channel), slot);
        if answered.is_none() {
            self.send_begin(slot);
            return Ok(Some(Event::Begun(key)));
        }
        Ok(blocked.then_some(Event::WindowOpen(key)))
    }

    pub(super) fn on_end(&mut self, channel: u16, error: Option<Box<Error>>) -> Result<Option<Event>, Violation> {
        let slot = self.by_channel(channel)?;
        self.channels_in.remove(u32::from(channel));
        let ours = self.sessions.get(slot as usize).is_some_and(|s| s.ended);
        let mut links = Vec::new();
        for link in self.lose_deliveries(slot) {
            let Some(l) = self.links.get(link as usize) else { continue };
            if !l.is_over() {
                self.events.push_back(Event::Detached { link: l.key, error: None });
                if !ours {
                    links.push(l.shared_name());
                }
            }
            self.free_link(link);
        }
        let Some(s) = self.sessions.try_remove(slot as usize) else { return Ok(None) };
        if !s.ended {
            self.wire.frame(s.channel, &Performative::End(End::default()));
        }
        self.channels_out.release(u32::from(s.channel));
        self.events.push_back(Event::Ended { session: s.key, error, links });
        Ok(None)
    }
}
