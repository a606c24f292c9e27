//! What the core wants done.

use super::AmqpPort;
use super::egress::discard;
use super::ingress::lose_current;
use super::limits::UNACKNOWLEDGED_MAX;
use super::link::{PortLink, notified};
use super::params::PortError;
use super::policed::Check;
use super::stalls::Stalls;
use crate::core::action::{Action, Direction};
use crate::core::effect::{AttachOut, AttachReply, CutThrough, Effect, SessionClass};
use crate::core::ids::LinkId;
use amqp_core::engine::{AttachAnswer, AttachParams, DeliveryKey, LinkKey, SessionKey};
use amqp_core::performative::{Error, Role};

/// The snd-settle-mode that routers put in every attach: mixed (spec `amqp-endpoint.md` 7.1).
const MIXED: u8 = 2;

// === impl AmqpPort ===

impl AmqpPort {
    /// Applies what is in the mailbox. True when there was anything.
    pub(super) fn take_mailbox(&mut self) -> bool {
        let mut effects = std::mem::take(&mut self.effects);
        let mut keys = std::mem::take(&mut self.keys);
        let any = self.handle.mailbox.take(&mut effects, &mut keys);
        // Links that the peer has detached before they were answered: they end after what came for them.
        let mut gone = Vec::new();
        for effect in effects.drain(..) {
            match effect {
                Effect::Push(push) if self.core_closed => discard(&push),
                _ if self.core_closed => {}
                effect => gone.extend(self.apply(effect)),
            }
        }
        for idx in gone {
            let Some(mut link) = self.links.remove(idx) else { continue };
            let unsent = self.lose_queue(&mut link);
            self.actions.extend(link.id.map(|link| Action::Detached { link, error: None, unsent }));
        }
        for key in keys.drain(..) {
            if Stalls::is_key(key) {
                self.on_room(key);
            } else if let Some(idx) = notified(&self.links, key) {
                self.make_ready(idx);
            }
        }
        self.effects = effects;
        self.keys = keys;
        any
    }

    /// Does what the core wants. The index of a link that is answered after the peer has detached it.
    fn apply(&mut self, effect: Effect) -> Option<u32> {
        match effect {
            Effect::AttachReply(reply) => return self.attach_reply(*reply),
            Effect::Push(push) => self.push(push),
            Effect::UpdateIn { link, token, state, settled, discard } => {
                let idx = self.links.by_id(link)?;
                if !self.update_current(idx, token, state.as_ref(), settled, discard) {
                    self.engine.update_in(DeliveryKey::from_u64(token.0), state, settled);
                }
            }
            Effect::Credit { link, credit, drain } => {
                let key = self.links.get(self.links.by_id(link)?)?.key;
                self.engine.set_drain(key, drain);
                self.engine.grant_credit(key, credit);
            }
            Effect::UpdateOut { link, id, state, settled } => self.update_out(link, id, state, settled),
            Effect::AbortOut { link, id } => self.abort_out(link, id),
            Effect::Attach(attach) => self.attach(*attach),
            Effect::Detach { link, error } => self.detach(link, error),
            Effect::Close { error, hard } => self.close(error, hard),
            // These are for in-process peers.
            Effect::Watch { .. } | Effect::Peer(_) => {}
            Effect::Trace(on) => self.engine.set_trace(on),
            Effect::Weigh => self.weigh_peer(),
        }
        None
    }

    /// Answers the peer's attach. The index of the link when the peer has detached it meanwhile.
    fn attach_reply(&mut self, reply: AttachReply) -> Option<u32> {
        let idx = reply.token;
        let ends = self.ends(reply.source.as_deref(), reply.target.as_deref());
        let check = self.check_of(reply.cut_through, reply.anonymous);
        let link = self.links.get_mut(idx)?;
        link.ends = ends;
        let key = link.key;
        link.annotations = reply.annotations;
        link.priority = reply.priority;
        if let Some(incoming) = link.incoming() {
            incoming.anonymous = reply.anonymous;
            incoming.check = check;
            incoming.cut_through = reply.cut_through;
            incoming.resend_released = reply.resend_released;
        }
        if let Some(out) = link.out() {
            out.gauge = reply.gauge;
        }
        let (gone, early) = (link.gone, link.out().is_some_and(|out| out.early_credit));
        self.engine.answer_attach(key, AttachAnswer { source: reply.source, target: reply.target });
        match reply.link {
            Err(error) => {
                self.refuse_link(key, error);
                if let Some(mut link) = self.links.remove(idx) {
                    Self::release_place(&mut self.policed, &mut link);
                }
            }
            Ok(id) => {
                self.links.name(idx, id);
                if early && !gone {
                    let credit = self.engine.credit(key);
                    let drain = self.links.get_mut(idx).and_then(PortLink::out).is_some_and(|out| out.drain);
                    self.actions.push(Action::PeerCredit { link: id, credit, drain });
                    self.make_ready(idx);
                }
                return gone.then_some(idx);
            }
        }
        None
    }

    pub(super) fn attach(&mut self, attach: AttachOut) {
        let AttachOut { link: id, name, direction, source, target, session: class, anonymous, .. } = attach;
        let ends = self.ends(Some(&source), Some(&target));
        let attached = self.session_for(class).and_then(|(session, owned)| {
            let role = if direction == Direction::In { Role::Receiver } else { Role::Sender };
            let params =
                AttachParams { name, role, source: Some(source), target: Some(target), snd_settle_mode: MIXED };
            let key = self.engine.attach(session, params);
            if key.is_none() && owned {
                self.engine.end_session(session, None);
            }
            Some((key?, session, owned))
        });
        let Some((key, session, owned)) = attached else {
            // As if the peer had refused it.
            let error = Some(Box::new(Error::new("amqp:resource-limit-exceeded", "no session for the link")));
            self.actions.push(Action::Detached { link: id, error, unsent: Vec::new() });
            return;
        };
        let check = self.check_of(attach.cut_through, anonymous);
        let mut link = PortLink::new(key, session, direction);
        link.id = Some(id);
        link.ends = ends;
        link.owns_session = owned;
        link.priority = attach.priority;
        link.annotations = self.params.conn.links.carries_annotations(self.params.conn.role, direction);
        if let Some(incoming) = link.incoming() {
            incoming.anonymous = anonymous;
            incoming.check = check;
            incoming.cut_through = attach.cut_through;
        }
        if let Some(out) = link.out() {
            out.gauge = attach.gauge;
            out.credit_is_used_up = class == SessionClass::Endpoint;
        }
        self.links.insert(link);
    }

    /// Ends a link of the peer's that has just been answered. A peer that does not look at that is sent away in the end.
    pub(super) fn refuse_link(&mut self, key: LinkKey, error: Box<Error>) {
        self.engine.detach(key, Some(error));
        if self.engine.unanswered_detaches() > UNACKNOWLEDGED_MAX && !self.peer_is_router() {
            let text = "too many links were refused without the peer's acknowledging it";
            self.close(Some(Box::new(Error::new("amqp:resource-limit-exceeded", text))), false);
        }
    }

    /// What is to be seen to on messages of an incoming link. Those that are never cut through end in the core.
    fn check_of(&self, cut_through: CutThrough, anonymous: bool) -> Check {
        let serves = cut_through == CutThrough::Never;
        self.policed.as_ref().map_or(Check::Nothing, |policed| policed.check(serves, anonymous))
    }

    fn detach(&mut self, id: LinkId, error: Option<Box<Error>>) {
        let Some(idx) = self.links.by_id(id) else { return };
        let Some(mut link) = self.links.remove(idx) else { return };
        self.engine.detach(link.key, error);
        Self::release_place(&mut self.policed, &mut link);
        lose_current(&mut link);
        self.lose_queue(&mut link);
        self.link_gone(&link);
    }

    /// Ends what only existed for a link.
    pub(super) fn link_gone(&mut self, link: &PortLink) {
        if link.owns_session {
            self.engine.end_session(link.session, None);
        }
    }

    pub(super) fn close(&mut self, error: Option<Box<Error>>, hard: bool) {
        if hard {
            self.engine.drop_transport();
        } else {
            if let Some(error) = &error {
                self.error.get_or_insert_with(|| PortError::of(error));
            }
            self.engine.close(error);
        }
        self.close_core();
    }

    /// The session for a link of a class, and whether it is the link's own.
    pub(super) fn session_for(&mut self, class: SessionClass) -> Option<(SessionKey, bool)> {
        if class == SessionClass::Streaming
            && let Some(session) = self.engine.begin_session()
        {
            return Some((session, true));
        }
        if let Some((_, session)) = self.classes.iter().find(|(c, _)| *c == class) {
            return Some((*session, false));
        }
        match self.engine.begin_session() {
            Some(session) => {
                self.classes.push((class, session));
                Some((session, false))
            }
            // No channel is left.
            None => self.shared_session(class).map(|session| (session, false)),
        }
    }

    /// A session for a link of a class that gets none. Streams stall each other, but nothing else; and nothing stalls what
    /// routers tell each other, as long as there is anything else.
    pub(super) fn shared_session(&mut self, class: SessionClass) -> Option<SessionKey> {
        if class == SessionClass::Streaming
            && let Some(session) = self.take_stream_session()
        {
            self.classes.push((class, session));
            return Some(session);
        }
        let rank = |class: &SessionClass| match class {
            SessionClass::Control => 2,
            SessionClass::Core => 1,
            _ => 0,
        };
        self.classes.iter().min_by_key(|(class, _)| rank(class)).map(|(_, session)| *session)
    }

    /// The session of a stream, which is no longer its own: one where nothing is stuck, if there is any.
    fn take_stream_session(&mut self) -> Option<SessionKey> {
        let own: Vec<u32> = self.links.indices();
        let own = own.into_iter().filter(|&idx| self.links.get(idx).is_some_and(|link| link.owns_session));
        let widest = own.max_by_key(|&idx| self.links.get(idx).map(|link| self.engine.session_window(link.session)))?;
        let link = self.links.get_mut(widest)?;
        link.owns_session = false;
        Some(link.session)
    }
}
