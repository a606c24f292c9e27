//! The two windows of a session (part 2, 2.5.6).

use super::ids::left_of_grant;

/// The windows of one session, counted in transfer frames.
///
/// What is received counts against the incoming window for as long as the caller keeps it. A window that was told once
/// cannot be taken back: a peer that has not heard yet of a narrower one may go on by the old one.
#[derive(Debug)]
pub(super) struct Windows {
    /// The incoming-window when everything received is consumed.
    in_max: u32,
    /// The same, while it is narrowed.
    ceiling: u32,
    /// Transfers received that are kept.
    kept: u32,
    /// How many more transfers the peer may send by the widest that we told it.
    in_left: u32,
    /// How many more transfers the peer may send by what we told it last.
    told: u32,
    /// The transfer-id expected next; `None` before the peer's begin.
    next_in: Option<u32>,
    /// How many more transfers the peer accepts.
    out_left: u32,
    /// The transfer-id of our next transfer.
    next_out: u32,
}

// === impl Windows ===

impl Windows {
    pub(super) const fn new(in_max: u32) -> Self {
        Self {
            in_max,
            ceiling: in_max,
            kept: 0,
            in_left: in_max,
            told: in_max,
            next_in: None,
            out_left: 0,
            next_out: 0,
        }
    }

    /// The peer's begin: its next-outgoing-id and incoming-window.
    pub(super) const fn on_begin(&mut self, next_outgoing_id: u32, incoming_window: u32) {
        self.next_in = Some(next_outgoing_id);
        self.out_left = incoming_window;
    }

    /// The peer's flow: its next-incoming-id and incoming-window.
    pub(super) const fn on_flow(&mut self, next_incoming_id: Option<u32>, incoming_window: u32) {
        // Without next-incoming-id the peer has not seen our begin, whose next-outgoing-id was 0.
        let base = match next_incoming_id {
            Some(id) => id,
            None => 0,
        };
        self.out_left = left_of_grant(incoming_window, base, self.next_out);
    }

    /// Counts a transfer that came in. False when the window was shut.
    #[must_use]
    pub(super) const fn on_transfer(&mut self) -> bool {
        let Some(left) = self.in_left.checked_sub(1) else { return false };
        self.in_left = left;
        self.told = self.told.saturating_sub(1);
        if let Some(id) = self.next_in {
            self.next_in = Some(id.wrapping_add(1));
        }
        true
    }

    /// Transfers that may be sent now.
    pub(super) const fn can_send(&self) -> u32 {
        self.out_left
    }

    /// Counts a transfer sent.
    pub(super) const fn sent(&mut self) {
        self.out_left = self.out_left.saturating_sub(1);
        self.next_out = self.next_out.wrapping_add(1);
    }

    /// Transfers received are not consumed for now.
    pub(super) const fn keep(&mut self, transfers: u32) {
        self.kept = self.kept.saturating_add(transfers);
    }

    /// Transfers that were kept are consumed.
    pub(super) const fn consume(&mut self, transfers: u32) {
        self.kept = self.kept.saturating_sub(transfers);
    }

    pub(super) const fn kept(&self) -> u32 {
        self.kept
    }

    /// Narrows the incoming window, or ends that. True: the peer has to be told.
    #[must_use]
    pub(super) fn narrow(&mut self, to: Option<u32>) -> bool {
        self.ceiling = to.map_or(self.in_max, |to| to.clamp(1, self.in_max));
        self.told > self.open() || self.wants_flow()
    }

    const fn open(&self) -> u32 {
        self.ceiling.saturating_sub(self.kept)
    }

    /// What the peer was told is below the low-water mark and more can be told.
    pub(super) const fn wants_flow(&self) -> bool {
        self.told < self.open().div_ceil(2)
    }

    /// What to put in a flow frame: next-incoming-id, incoming-window, next-outgoing-id.
    pub(super) const fn advertise(&mut self) -> (Option<u32>, u32, u32) {
        self.told = self.open();
        if self.in_left < self.told {
            self.in_left = self.told;
        }
        (self.next_in, self.told, self.next_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incoming_opens_at_half() {
        let mut w = Windows::new(4);
        w.on_begin(u32::MAX, 0);
        assert!(w.on_transfer() && w.on_transfer());
        assert!(!w.wants_flow());
        assert!(w.on_transfer());
        assert!(w.wants_flow());
        assert_eq!(w.advertise(), (Some(2), 4, 0));
        assert!(!w.wants_flow());
    }

    #[test]
    fn what_is_kept_shuts_the_window() {
        let mut w = Windows::new(2);
        assert!(w.on_transfer());
        w.keep(1);
        assert_eq!(w.advertise().1, 1);
        assert!(w.on_transfer());
        w.keep(1);
        assert!(!w.wants_flow());
        assert_eq!(w.advertise().1, 0);
        assert!(!w.on_transfer());
        w.consume(1);
        assert!(w.wants_flow());
        assert_eq!(w.advertise().1, 1);
    }

    #[test]
    fn others_go_on_beside_what_is_kept() {
        let mut w = Windows::new(8);
        w.keep(7);
        for _ in 0..20 {
            w.advertise();
            assert!(w.on_transfer());
            assert!(w.wants_flow());
        }
    }

    #[test]
    fn narrowed_window_admits_what_was_promised() {
        let mut w = Windows::new(100);
        assert!(w.narrow(Some(4)));
        assert_eq!(w.advertise().1, 4);
        assert!(!w.narrow(Some(4)));
        for _ in 0..100 {
            assert!(w.on_transfer());
            w.keep(1);
        }
        assert!(!w.wants_flow() && !w.on_transfer());
        assert!(!w.narrow(None));
        w.consume(100);
        assert!(w.wants_flow());
        assert_eq!(w.advertise().1, 100);
    }

    #[test]
    fn outgoing_follows_the_peer() {
        let mut w = Windows::new(2);
        w.on_begin(0, 3);
        w.sent();
        w.sent();
        assert_eq!(w.can_send(), 1);
        w.on_flow(Some(1), 3);
        assert_eq!(w.can_send(), 2);
        w.on_flow(Some(0), 1);
        assert_eq!(w.can_send(), 0);
        w.on_flow(None, 10);
        assert_eq!(w.can_send(), 8);
    }
}
