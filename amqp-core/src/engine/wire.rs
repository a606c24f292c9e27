//! Writing frames, and tracing them.

use super::output::Output;
use crate::codec::Encode;
use crate::frame::{FrameType, Preface, finish_frame, start_frame, write_empty};
use crate::performative::{DeliveryState, FrameBody, Performative, Transfer};
use crate::sasl::SaslFrame;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// The output with the optional frame trace.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) output: Output,
    tracing: bool,
    lines: Vec<String>,
}

// === impl Wire ===

impl Wire {
    pub(super) const fn tracing(&self) -> bool {
        self.tracing
    }

    pub(super) const fn set_trace(&mut self, on: bool) {
        self.tracing = on;
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    #[cold]
    pub(super) fn trace(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            self.lines.push(line());
        }
    }

    /// Writes a protocol header.
    pub(super) fn preface(&mut self, preface: Preface) {
        self.output.write_with(|out| out.extend_from_slice(preface.octets()));
        self.trace(|| format!("  -> {}", if preface == Preface::Sasl { "SASL" } else { "AMQP" }));
    }

    /// Writes a SASL frame.
    pub(super) fn sasl(&mut self, frame: &SaslFrame) {
        self.output.write_with(|out| {
            let open = start_frame(out, FrameType::Sasl, 0);
            frame.encode(out);
            finish_frame(out, open, 0);
        });
        self.trace(|| format!("0 -> {frame}"));
    }

    /// Writes a frame without payload.
    pub(super) fn frame(&mut self, channel: u16, performative: &Performative) {
        self.output.write_with(|out| {
            let open = start_frame(out, FrameType::Amqp, channel);
            performative.encode(out);
            finish_frame(out, open, 0);
        });
        if self.tracing {
            self.trace(|| format!("{channel} -> {performative}"));
        }
    }

    /// Writes a frame that keeps the connection alive.
    pub(super) fn empty(&mut self) {
        self.output.write_with(write_empty);
        self.trace(|| "0 -> (EMPTY FRAME)".to_owned());
    }

    /// Writes a transfer frame of at most `max` octets with as much of `payload` as fits; what is
    /// written is taken out. `available` is the number of octets in `payload`. With `last`, the
    /// final flags of the delivery are put on the frame that takes the rest of the payload.
    /// Returns the number of payload octets and whether the delivery is complete.
    pub(super) fn transfer(
        &mut self,
        channel: u16,
        transfer: &mut Transfer,
        payload: &mut VecDeque<Bytes>,
        available: usize,
        max: usize,
        last: Option<Last<'_>>,
    ) -> (usize, bool) {
        let mut taken = 0;
        let mut done = false;
        let tracing = self.tracing;
        let mut traced = Vec::new();
        self.output.write_with(|out| {
            let start = out.len();
            let first_settled = transfer.settled;
            // What cannot be the last frame is not worth the try.
            if let Some(last) = last
                && available < max
            {
                transfer.more = false;
                if last.settled {
                    transfer.settled = Some(true);
                }
                let first_state = last.state.map(|state| transfer.state.replace(state.clone()));
                let open = start_frame(out, FrameType::Amqp, channel);
                transfer.encode_into(out);
                done = out.len() - start + available <= max;
                if done {
                    taken = available;
                    finish_frame(out, open, taken);
                } else {
                    out.truncate(start);
                    if let Some(state) = first_state {
                        transfer.state = state;
                    }
                }
            }
            if !done {
                transfer.more = true;
                transfer.settled = first_settled;
                let open = start_frame(out, FrameType::Amqp, channel);
                transfer.encode_into(out);
                taken = available.min(max.saturating_sub(out.len() - start));
                finish_frame(out, open, taken);
            }
            if tracing {
                traced.extend_from_slice(&out[start + 8..]);
            }
        });
        let mut left = taken;
        while left > 0 {
            let Some(front) = payload.front_mut() else { break };
            let piece =
                if front.len() <= left { payload.pop_front().unwrap_or_default() } else { front.split_to(left) };
            left -= piece.len();
            if tracing {
                traced.extend_from_slice(&piece);
            }
            self.output.push(piece);
        }
        // Empty slices must not stay behind: the caller uses the queue again.
        while payload.front().is_some_and(Bytes::is_empty) {
            payload.pop_front();
        }
        if tracing {
            self.trace(|| format!("{channel} -> {}", FrameBody(&traced)));
        }
        (taken, done)
    }
}

/// Octets that a delivery state may take in a frame of at most `max`: what is left by the rest of a disposition or of a
/// transfer without payload.
pub(super) const fn state_room(max: u32) -> usize {
    max as usize - 128
}

/// What ends a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last<'a> {
    /// The delivery is settled by its last frame at the latest.
    pub(super) settled: bool,
    /// The state on its last frame, in the place of any other.
    pub(super) state: Option<&'a DeliveryState>,
}

/// Octets in all slices.
pub(super) fn total(payload: &VecDeque<Bytes>) -> usize {
    payload.iter().map(Buf::remaining).sum()
}
