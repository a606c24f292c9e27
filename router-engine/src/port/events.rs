//! What happens on the wire.

use super::AmqpPort;
use super::bare;
use super::egress::out_id;
use super::ingress::{lose_current, unpack};
use super::limits::EVENTS_PER_TURN;
use super::link::PortLink;
use super::liveness;
use super::open::{asked, our_open, peer_open};
use super::params::PortError;
use super::report;
use super::wide;
use crate::core::action::{Action, AttachRequest, Direction, Side};
use crate::policy::Admission;
use amqp_core::Instant;
use amqp_core::engine::{Event, LinkKey, Status, Update};
use amqp_core::performative::{Attach, Error, Open, Role};

// === impl AmqpPort ===

impl AmqpPort {
    /// Handles what came in, up to a bound. True when the bound was reached.
    pub(super) fn run_events(&mut self, now: Instant) -> bool {
        for _ in 0..EVENTS_PER_TURN {
            let Some(event) = self.engine.poll_event(now) else { return false };
            self.on_event(event, now);
        }
        true
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Transfer(frame) => self.on_transfer(frame, now),
            Event::Update(update) => self.on_update(update, now),
            Event::Flow { link, credit, drain } => self.on_flow(link, credit, drain),
            Event::WindowOpen(session) => self.on_window(session),
            Event::Drained { link, skipped } => {
                if let Some(link) = self.id_of(link) {
                    self.actions.push(Action::Drained { link, skipped });
                }
            }
            Event::Attach { link, attach } => self.on_attach(link, *attach),
            Event::Attached { link, attach } => self.on_attached(link, *attach),
            Event::Detached { link, error } => self.on_detached(link, error),
            Event::Begun(session) => self.on_begun(session),
            Event::Ended { session, links, .. } => {
                links.iter().for_each(|link| report::aborted(link, "session"));
                self.classes.retain(|(_, s)| *s != session);
                self.forget_session(session);
            }
            Event::Auth(request) => self.auth = Some(request),
            Event::RemoteOpen(open) => self.on_open(open),
            Event::Closed { error } => {
                if let Some(error) = error {
                    self.error.get_or_insert_with(|| PortError::of(&error));
                }
                self.close_core();
            }
            Event::Failed(violation) => {
                self.error.get_or_insert_with(|| PortError::violation(&violation));
                self.close_core();
            }
        }
    }

    fn on_open(&mut self, open: Box<Open>) {
        self.handshake = None;
        let mut peer = peer_open(&open, &self.params, self.engine.authentication(), self.tls.as_ref());
        let admission = self.router.admit(&asked(&self.params, &peer, self.handle.id), self.now);
        let mut our_open = our_open(&self.params, self.router.id(), self.handle.id);
        peer.policy = admission.decision();
        match admission {
            Admission::Unrestricted => {}
            Admission::Granted(grant) => self.police(grant, &peer, &mut our_open),
            Admission::Refused(_) => return self.refuse_peer(our_open),
        }
        report::opened(self.handle.id, &self.params.conn, &peer);
        if let Some(agreed) = liveness::agreed(&self.params, &peer.properties) {
            self.engine.watch(agreed);
        }
        self.wide = wide::is_agreed(&self.params, &peer.properties);
        self.bare_ends = bare::is_agreed(&self.params, &peer.properties);
        self.actions.push(Action::Opened(Box::new(peer)));
        self.remote = Some(open);
        let role = self.role();
        if role.is_within_network()
            && let Some(peer) = self.remote_container()
        {
            self.open_peer = Some(self.router.open_peer(peer, role));
        }
        if !self.params.conn.initiator {
            self.engine.open(our_open);
        }
    }

    fn on_attach(&mut self, key: LinkKey, attach: Attach) {
        let Some(session) = self.engine.link_session(key) else { return };
        let direction = if attach.role == Role::Sender { Direction::In } else { Direction::Out };
        if !self.admits_link(key, direction, &attach) {
            return;
        }
        let mut link = PortLink::new(key, session, direction);
        link.counted = self.policed.is_some();
        let token = self.links.insert(link);
        self.actions.push(Action::Attach(Box::new(AttachRequest {
            token,
            settle_on_send: attach.snd_settle_mode == Some(1),
            name: attach.name,
            direction,
            source: attach.source,
            target: attach.target,
        })));
    }

    fn on_attached(&mut self, key: LinkKey, attach: Attach) {
        let Some(link) = self.id_of(key) else { return };
        self.actions.push(Action::Attached {
            link,
            settle_on_send: attach.snd_settle_mode == Some(1),
            source: attach.source,
            target: attach.target,
        });
    }

    fn on_detached(&mut self, key: LinkKey, error: Option<Box<Error>>) {
        let Some(idx) = self.links.by_key(key) else { return };
        let Some(link) = self.links.get_mut(idx) else { return };
        Self::release_place(&mut self.policed, link);
        let Some(id) = link.id else {
            // The core's answer is still to come.
            link.gone = true;
            return;
        };
        let Some(mut link) = self.links.remove(idx) else { return };
        let excess = link.incoming().and_then(|l| l.current.as_ref()).is_some_and(|current| current.oversize);
        lose_current(&mut link);
        let unsent = self.lose_queue(&mut link);
        self.link_gone(&link);
        self.actions.push(Action::Detached { link: id, error, unsent });
        if excess {
            self.dismiss_oversize();
        }
    }

    fn on_flow(&mut self, key: LinkKey, credit: u32, drain: bool) {
        let Some(idx) = self.links.by_key(key) else { return };
        let Some(link) = self.links.get_mut(idx) else { return };
        let id = link.id;
        let Some(out) = link.out() else { return };
        out.drain = drain;
        match id {
            Some(link) => {
                self.actions.push(Action::PeerCredit { link, credit, drain });
                self.make_ready(idx);
            }
            None => out.early_credit = true,
        }
    }

    fn on_update(&mut self, update: Update, now: Instant) {
        let Update { incoming, delivery, link, token, state, settled } = update;
        if !incoming {
            let (Some(idx), Some(token)) = (self.links.by_key(link), token) else { return };
            let id = out_id(token);
            let state = state.map(|state| if self.takes_grants(idx, id) { self.tempered(state) } else { state });
            if settled {
                self.settled_by_peer(idx, id);
            }
            self.actions.push(Action::Update { delivery: Side::Out(id), state, settled });
            return;
        }
        if token.is_none() {
            // The delivery is in the batch that is being gathered: its name comes with submitting.
            self.submit(now);
        }
        if let Some(token) = self.engine.token(delivery) {
            self.actions.push(Action::Update { delivery: Side::In(unpack(token)), state, settled });
        }
        if settled {
            self.engine.forget_in(delivery);
        }
    }

    fn id_of(&self, key: LinkKey) -> Option<crate::LinkId> {
        self.links.get(self.links.by_key(key)?)?.id
    }

    /// Tells the core, once, that everything is over.
    pub(super) fn close_core(&mut self) {
        if std::mem::replace(&mut self.core_closed, true) {
            return;
        }
        if let Some(policed) = &self.policed {
            policed.report_closed();
        }
        for idx in self.links.indices() {
            let Some(mut link) = self.links.remove(idx) else { continue };
            report::aborted(self.engine.link_name(link.key).unwrap_or_default(), "connection");
            lose_current(&mut link);
            let unsent = self.lose_queue(&mut link);
            if let Some(link) = link.id {
                self.actions.push(Action::Detached { link, error: None, unsent });
            }
        }
        let in_order = self.error.is_none() && self.engine.status() != Status::Running;
        if let Some(mut peer) = self.open_peer.take()
            && in_order
        {
            peer.end_in_order();
        }
        if self.remote.is_some() {
            report::closed(self.handle.id, self.params.conn.role);
        }
        // Its place is free, whenever the transport ends.
        self.policed = None;
        self.actions.push(Action::Closed);
    }
}
