//! Links (part 2, 2.6): attach, answer, detach.
//!
//! ```text
//!                local half                      remote half
//!   Idle --attach/answer--> Active --detach--> Done      (likewise, by the peer's frames)
//!   The link is gone when both halves are Done. A peer's detach is answered at once.
//! ```

use super::connection::Connection;
use super::error::Violation;
use super::event::Event;
use super::ids::{LinkKey, SessionKey};
use super::limits::HANDLE_MAX;
use super::transfer::Sending;
use crate::performative::{Attach, Detach, Error, Performative, Role, Source, Target};
use std::sync::Arc;

/// One half of a link's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Not attached yet.
    Idle,
    /// Attached.
    Active,
    /// Detached.
    Done,
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) key: LinkKey,
    /// Slot of the session.
    pub(super) session: u32,
    name: Arc<str>,
    /// We are the sender.
    pub(super) sender: bool,
    pub(super) local: Half,
    pub(super) remote: Half,
    /// Our handle.
    pub(super) handle: u32,
    remote_handle: u32,
    pub(super) delivery_count: u32,
    /// Sender: what the peer granted and is left. Receiver: what the peer has or will have when
    /// the next flow is sent.
    pub(super) credit: u32,
    pub(super) drain: bool,
    /// Receiver: the peer is told that it has no credit but for `allowed`.
    pub(super) held: bool,
    pub(super) allowed: u32,
    /// Listed among the links that need a flow.
    pub(super) flow_due: bool,
    /// Deliveries in the session's tables.
    pub(super) unsettled: u32,
    /// The outgoing delivery in progress.
    pub(super) sending: Option<Sending>,
    /// The incoming delivery in progress.
    pub(super) receiving: Option<u32>,
}

/// The answer to a peer's attach.
#[derive(Debug, Clone, Default)]
pub struct AttachAnswer {
    /// The source; absent is null.
    pub source: Option<Box<Source>>,
    /// The target; absent is null.
    pub target: Option<Box<Target>>,
}

/// A link to attach.
#[derive(Debug, Clone)]
pub struct AttachParams {
    /// The link name; unique per session and direction.
    pub name: String,
    /// Our role.
    pub role: Role,
    /// The source.
    pub source: Option<Box<Source>>,
    /// The target.
    pub target: Option<Box<Target>>,
    /// The snd-settle-mode to ask for.
    pub snd_settle_mode: u8,
}

// === impl Link ===

impl Link {
    /// The caller was told, or told us, that the link is over.
    pub(super) fn is_over(&self) -> bool {
        self.local == Half::Done || self.remote == Half::Done
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(super) fn is_up(&self) -> bool {
        self.local == Half::Active && self.remote == Half::Active
    }
}

// === impl Connection ===

impl Connection {
    /// Attaches a link. `None` when the session is gone, the name is in use or no handle is left.
    pub fn attach(&mut self, session: SessionKey, params: AttachParams) -> Option<LinkKey> {
        let slot = self.session_slot(session).filter(|_| self.can_operate())?;
        let sender = params.role == Role::Sender;
        let name: Arc<str> = params.name.into();
        if self.names.contains_key(&(slot, sender, Arc::clone(&name))) {
            return None;
        }
        let link = self.new_link(slot, name, sender)?;
        let answer = AttachAnswer { source: params.source, target: params.target };
        self.send_attach(link, answer, params.snd_settle_mode);
        self.links.get(link as usize).map(|l| l.key)
    }

    /// Answers a peer's attach. When the peer has detached meanwhile the link is gone afterwards.
    pub fn answer_attach(&mut self, link: LinkKey, answer: AttachAnswer) {
        let Some(slot) = self.link_slot(link) else { return };
        if self.links.get(slot as usize).is_none_or(|l| l.local != Half::Idle) {
            return;
        }
        self.send_attach(slot, answer, 2);
        if self.links.get(slot as usize).is_some_and(|l| l.remote == Half::Done) {
            self.send_detach(slot, None);
            self.free_link(slot);
        }
    }

    /// Closes a link, with an error or in good order. Nothing is told of it any more.
    pub fn detach(&mut self, link: LinkKey, error: Option<Box<Error>>) {
        let Some(slot) = self.link_slot(link) else { return };
        let Some(l) = self.links.get_mut(slot as usize) else { return };
        match l.local {
            Half::Idle => {
                // The attach must be answered before it can be refused.
                self.send_attach(slot, AttachAnswer::default(), 2);
                self.detach(link, error);
            }
            Half::Active => {
                l.local = Half::Done;
                self.unanswered += 1;
                l.sending = None;
                let session = l.session;
                // Dispositions made before this call must not be lost.
                self.flush_session(session);
                self.send_detach(slot, error);
                self.forget_deliveries(slot);
            }
            Half::Done => {}
        }
    }

    /// Whether the link is there and attached by both sides.
    #[must_use]
    pub fn is_attached(&self, link: LinkKey) -> bool {
        self.links.get(link.slot as usize).is_some_and(|l| l.key == link && l.is_up())
    }

    /// The link's name.
    #[must_use]
    pub fn link_name(&self, link: LinkKey) -> Option<&str> {
        self.links.get(link.slot as usize).filter(|l| l.key == link).map(|l| &*l.name)
    }

    /// The link's session.
    #[must_use]
    pub fn link_session(&self, link: LinkKey) -> Option<SessionKey> {
        let l = self.links.get(link.slot as usize).filter(|l| l.key == link)?;
        self.sessions.get(l.session as usize).map(|s| s.key)
    }

    /// Links that were detached here, and that the peer has not detached.
    #[must_use]
    pub const fn unanswered_detaches(&self) -> usize {
        self.unanswered
    }

    /// How many links there are.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    pub(super) fn link_slot(&self, key: LinkKey) -> Option<u32> {
        self.links.get(key.slot as usize).filter(|l| l.key == key).map(|_| key.slot)
    }

    /// The slot of the link that the peer calls `handle`.
    #[inline]
    pub(super) fn by_handle(&self, session: u32, handle: u32) -> Result<u32, Violation> {
        self.sessions
            .get(session as usize)
            .and_then(|s| s.remote_handles.get(handle))
            .ok_or(Violation::NoSuchHandle(handle))
    }

    fn new_link(&mut self, session: u32, name: Arc<str>, sender: bool) -> Option<u32> {
        // Growing by one while small keeps an ordinary connection lean.
        if self.links.len() < 4 {
            self.links.reserve_exact(1);
        }
        let slot = u32::try_from(self.links.vacant_key()).ok()?;
        let serial = self.next_serial();
        let s = self.sessions.get_mut(session as usize)?;
        let handle = s.handles.take(slot, s.remote_handle_max)?;
        self.names.insert((session, sender, Arc::clone(&name)), slot);
        self.links.insert(Link {
            key: LinkKey { slot, serial },
            session,
            name,
            sender,
            local: Half::Idle,
            remote: Half::Idle,
            handle,
            remote_handle: 0,
            delivery_count: 0,
            credit: 0,
            drain: false,
            held: false,
            allowed: 0,
            flow_due: false,
            unsettled: 0,
            sending: None,
            receiving: None,
        });
        Some(slot)
    }

    fn send_attach(&mut self, slot: u32, answer: AttachAnswer, snd_settle_mode: u8) {
        let Some(l) = self.links.get_mut(slot as usize) else { return };
        let Some(s) = self.sessions.get(l.session as usize) else { return };
        l.local = Half::Active;
        let attach = Attach {
            name: (*l.name).to_owned(),
            handle: l.handle,
            role: if l.sender { Role::Sender } else { Role::Receiver },
            snd_settle_mode: Some(snd_settle_mode),
            rcv_settle_mode: Some(0),
            source: answer.source,
            target: answer.target,
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: Some(0),
            max_message_size: Some(if l.sender { 0 } else { self.max_message_size }),
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        };
        self.wire.frame(s.channel, &Performative::Attach(Box::new(attach)));
    }

    fn send_detach(&mut self, slot: u32, error: Option<Box<Error>>) {
        let Some(l) = self.links.get(slot as usize) else { return };
        let Some(s) = self.sessions.get(l.session as usize) else { return };
        self.wire.frame(s.channel, &Performative::Detach(Detach { handle: l.handle, closed: true, error }));
    }

    /// Forgets a link and everything that hangs on it.
    pub(super) fn free_link(&mut self, slot: u32) {
        self.forget_deliveries(slot);
        let Some(l) = self.links.try_remove(slot as usize) else { return };
        self.unanswered -= usize::from(l.local == Half::Done);
        if let Some(s) = self.sessions.get_mut(l.session as usize) {
            s.handles.release(l.handle);
            if l.remote == Half::Active {
                s.remote_handles.remove(l.remote_handle);
            }
        }
        let name = (l.session, l.sender, l.name);
        // A peer that attached anew before its first attach was answered has taken the name over.
        if self.names.get(&name) == Some(&slot) {
            self.names.remove(&name);
        }
    }

    fn forget_deliveries(&mut self, slot: u32) {
        let Some(l) = self.links.get_mut(slot as usize) else { return };
        if std::mem::take(&mut l.unsettled) > 0
            && let Some(s) = self.sessions.get_mut(l.session as usize)
        {
            if l.sender { &mut s.outgoing } else { &mut s.incoming }.purge(l.key);
        }
    }

    pub(super) fn on_attach(&mut self, channel: u16, attach: Box<Attach>) -> Result<Option<Event>, Violation> {
        let session = self.by_channel(channel)?;
        let Some(s) = self.sessions.get(session as usize).filter(|s| !s.ended) else { return Ok(None) };
        if attach.handle > HANDLE_MAX {
            return Err(Violation::HandleAboveMax { handle: attach.handle, max: HANDLE_MAX });
        }
        if s.remote_handles.get(attach.handle).is_some() {
            return Err(Violation::HandleInUse(attach.handle));
        }
        let sender = attach.role == Role::Receiver;
        let name: Arc<str> = attach.name.as_str().into();
        let known = self.names.get(&(session, sender, Arc::clone(&name))).copied();
        let halves = known.and_then(|slot| self.links.get(slot as usize)).map(|l| (l.local, l.remote));
        let known = known.filter(|_| halves != Some((Half::Idle, Half::Done)));
        let slot = match known {
            Some(slot) => {
                if halves.is_none_or(|(_, remote)| remote != Half::Idle) {
                    return Err(Violation::LinkNameInUse(attach.name));
                }
                slot
            }
            None => self
                .new_link(session, name, sender)
                .ok_or(Violation::HandleAboveMax { handle: attach.handle, max: HANDLE_MAX })?,
        };
        if let Some(s) = self.sessions.get_mut(session as usize) {
            s.remote_handles.insert(attach.handle, slot);
        }
        let Some(l) = self.links.get_mut(slot as usize) else { return Ok(None) };
        l.remote = Half::Active;
        l.remote_handle = attach.handle;
        if !l.sender {
            l.delivery_count = attach.initial_delivery_count.unwrap_or(0);
        }
        let link = l.key;
        Ok(match (known, l.local) {
            (None, _) => Some(Event::Attach { link, attach }),
            (Some(_), Half::Active) => Some(Event::Attached { link, attach }),
            // We have detached meanwhile.
            (Some(_), _) => None,
        })
    }

    pub(super) fn on_detach(&mut self, channel: u16, detach: Detach) -> Result<Option<Event>, Violation> {
        let session = self.by_channel(channel)?;
        let ended = self.sessions.get(session as usize).is_none_or(|s| s.ended);
        let slot = match self.by_handle(session, detach.handle) {
            Ok(slot) => slot,
            Err(_) if ended => return Ok(None),
            Err(violation) => return Err(violation),
        };
        if let Some(s) = self.sessions.get_mut(session as usize) {
            s.remote_handles.remove(detach.handle);
        }
        let Some(l) = self.links.get_mut(slot as usize) else { return Ok(None) };
        l.remote = Half::Done;
        let link = l.key;
        match l.local {
            Half::Done => {
                self.free_link(slot);
                return Ok(None);
            }
            _ if !detach.closed => return Err(Violation::SuspendNotSupported),
            Half::Active => {
                // What was settled before must be told before the answer.
                self.flush_session(session);
                self.send_detach(slot, None);
                self.free_link(slot);
            }
            Half::Idle => {}
        }
        Ok(Some(Event::Detached { link, error: detach.error }))
    }
}
