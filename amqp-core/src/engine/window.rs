//! The two windows of a session (part 2, 2.5.6).

use super::ids::precedes;

/// The windows of one session, counted in transfer frames.
#[derive(Debug)]
pub(super) struct Windows {
    /// The incoming-window when everything received is consumed.
    in_max: u32,
    /// How many more transfers the peer may send by what we told it.
    in_left: u32,
    /// The transfer-id expected next; `None` before the peer's begin.
    next_in: Option<u32>,
    /// What is received is not consumed: the window must not open.
    pub(super) held: bool,
    /// How many more transfers the peer accepts.
    out_left: u32,
    /// The transfer-id of our next transfer.
    next_out: u32,
}

// === impl Windows ===

impl Windows {
    pub(super) const fn new(in_max: u32) -> Self {
        Self { in_max, in_left: in_max, next_in: None, held: false, out_left: 0, next_out: 0 }
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
        let limit = base.wrapping_add(incoming_window);
        self.out_left = if precedes(self.next_out, limit) { limit.wrapping_sub(self.next_out) } else { 0 };
    }

    /// Counts a transfer that came in. False when the window was shut.
    #[must_use]
    pub(super) const fn on_transfer(&mut self) -> bool {
        let Some(left) = self.in_left.checked_sub(1) else { return false };
        self.in_left = left;
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

    /// The window is below its low-water mark and can open.
    pub(super) const fn wants_flow(&self) -> bool {
        !self.held && self.in_left < self.in_max.div_ceil(2)
    }

    /// What to put in a flow frame: next-incoming-id, incoming-window, next-outgoing-id. The window
    /// opens by this unless it is held.
    pub(super) const fn advertise(&mut self) -> (Option<u32>, u32, u32) {
        if !self.held {
            self.in_left = self.in_max;
        }
        (self.next_in, self.in_left, self.next_out)
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
    fn held_window_shuts() {
        let mut w = Windows::new(2);
        w.held = true;
        assert!(w.on_transfer());
        assert_eq!(w.advertise().1, 1);
        assert!(w.on_transfer() && !w.wants_flow());
        assert!(!w.on_transfer());
        w.held = false;
        assert!(w.wants_flow());
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
