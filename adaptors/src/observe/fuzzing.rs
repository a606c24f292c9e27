//! What the fuzz targets and the property tests of observers run: each takes anything and panics when something is
//! wrong.
#![allow(clippy::missing_panics_doc, reason = "they are there to panic")]

use super::detect::PREFACE;
use super::ledger::{Outcome, Turn, check_blind, watch};
use super::{Mode, Observer, Side};

pub use super::http2::fuzzing::header_blocks;

/// What an observer may hold, in octets: what the table of [`super`] says, with vectors that grow by doubling.
const FOOTPRINT: usize = 2 * (2 * 65_535 + 2048 * 48 + 65_536) + 1024 * 128;

/// A conversation of any protocol: a seed of two octets, and turns of two octets for side and length, followed by what is
/// said.
pub fn http1(octets: &[u8]) {
    let Some((seed, script)) = octets.split_first_chunk() else { return };
    any_pieces(Mode::Auto, &turns(script), u16::from_le_bytes(*seed));
}

/// The same behind the preface of HTTP/2.
pub fn http2(octets: &[u8]) {
    let Some((seed, script)) = octets.split_first_chunk() else { return };
    let mut turns = turns(script);
    turns.insert(0, (Side::Client, PREFACE));
    any_pieces(Mode::Auto, &turns, u16::from_le_bytes(*seed));
}

fn turns(mut script: &[u8]) -> Vec<Turn<'_>> {
    let mut turns = Vec::new();
    while let Some((head, rest)) = script.split_first_chunk() {
        let head = u16::from_be_bytes(*head);
        let (said, next) = rest.split_at(usize::from(head & 0x7FFF).min(rest.len()));
        turns.push((if head & 0x8000 == 0 { Side::Client } else { Side::Server }, said));
        script = next;
    }
    turns
}

/// Whatever pieces a conversation comes in, and whether or not records are wanted, the same is seen of it, and never is
/// more memory held than the bound.
pub(super) fn any_pieces(mode: Mode, turns: &[Turn<'_>], seed: u16) -> Outcome {
    let whole = watch(mode, turns, 0, || usize::MAX, within_bounds);
    let pieces = watch(mode, turns, 0, lengths(seed), within_bounds);
    assert_eq!(pieces, whole, "in pieces");
    check_blind(&watch(mode, turns, usize::MAX, lengths(seed), within_bounds), &whole);
    watch(mode, turns, usize::from(seed) % (turns.len() + 1), lengths(seed), within_bounds);
    whole
}

fn within_bounds(observer: &Observer<usize>) {
    assert!(observer.footprint() <= FOOTPRINT, "{} octets", observer.footprint());
}

/// Lengths of pieces, mostly short ones.
fn lengths(seed: u16) -> impl FnMut() -> usize {
    let mut state = u32::from(seed) | 1 << 16;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (length, scale) = ((state >> 16) as usize & 0xFF, state >> 28);
        1 + (length >> (scale / 2))
    }
}
