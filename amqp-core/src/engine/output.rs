//! Octets waiting to be written.
//!
//! Frame headers and other small data go to one scratch buffer; large payload slices are chained
//! between its pieces, so that a vectored write takes everything without copying payload.

use super::limits::{INLINE_MAX, SCRATCH_KEEP, SCRATCH_RESERVE};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Octets waiting to be written. See the module documentation.
#[derive(Debug, Default)]
pub struct Output {
    /// Concatenation of all [`Part::Small`] pieces, in order.
    scratch: BytesMut,
    parts: VecDeque<Part>,
    /// Octets at the end of `scratch` that no part covers yet.
    loose: usize,
    /// All octets waiting.
    len: usize,
    /// Octets of scratch used before the last time that everything was written.
    hint: usize,
    /// Octets ever enqueued and ever written.
    queued: u64,
}

#[derive(Debug)]
enum Part {
    /// So many octets of the scratch buffer.
    Small(usize),
    Shared(Bytes),
}

// === impl Output ===

impl Output {
    /// Octets waiting.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets waiting that are held for this output alone: all but large payload slices, which are shared.
    #[must_use]
    pub fn unshared(&self) -> usize {
        self.scratch.len()
    }

    /// Octets enqueued since the beginning.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.queued
    }

    /// Points `slices` to the first octets waiting, in order, and returns how many slices were set.
    pub fn fill_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut at = 0;
        for part in &self.parts {
            let Some(slot) = slices.get_mut(filled) else { return filled };
            match part {
                Part::Small(len) => {
                    *slot = IoSlice::new(&self.scratch[at..at + len]);
                    at += len;
                }
                Part::Shared(data) => *slot = IoSlice::new(data),
            }
            filled += 1;
        }
        if self.loose > 0
            && let Some(slot) = slices.get_mut(filled)
        {
            *slot = IoSlice::new(&self.scratch[at..]);
            filled += 1;
        }
        filled
    }

    /// Forgets the first `n` octets, which were written. More than there are counts as all.
    pub fn advance(&mut self, n: usize) {
        let mut left = n.min(self.len);
        self.len -= left;
        if self.len == 0 {
            self.release();
            return;
        }
        while left > 0 {
            match self.parts.front_mut() {
                Some(Part::Small(len)) => {
                    let taken = left.min(*len);
                    self.scratch.advance(taken);
                    left -= taken;
                    *len -= taken;
                    if *len == 0 {
                        self.parts.pop_front();
                    }
                }
                Some(Part::Shared(data)) => {
                    let taken = left.min(data.len());
                    data.advance(taken);
                    left -= taken;
                    if data.is_empty() {
                        self.parts.pop_front();
                    }
                }
                None => {
                    self.scratch.advance(left);
                    self.loose -= left;
                    left = 0;
                }
            }
        }
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        self.len = 0;
        self.release();
    }

    /// Appends small data that `write` appends to the buffer it is given; it must not touch what is
    /// in the buffer already. Returns the number of octets.
    pub(crate) fn write_with(&mut self, write: impl FnOnce(&mut BytesMut)) -> usize {
        if self.scratch.capacity() == 0 {
            self.scratch.reserve(self.hint.clamp(64, SCRATCH_RESERVE));
        }
        let before = self.scratch.len();
        write(&mut self.scratch);
        let added = self.scratch.len() - before;
        self.loose += added;
        self.grow(added);
        added
    }

    /// Appends a payload slice: chained when large, copied when small.
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < INLINE_MAX {
            self.write_with(|out| out.extend_from_slice(&data));
            return;
        }
        if self.loose > 0 {
            self.parts.push_back(Part::Small(self.loose));
            self.loose = 0;
        }
        self.grow(data.len());
        self.parts.push_back(Part::Shared(data));
    }

    fn grow(&mut self, added: usize) {
        self.len += added;
        self.queued += added as u64;
        self.hint = self.hint.max(self.scratch.len());
    }

    /// Everything was written: gives back memory. The next burst reserves in one go what this one
    /// needed, so an idle connection holds nothing and a busy one allocates once per turn.
    fn release(&mut self) {
        if self.parts.capacity() > 32 {
            self.parts = VecDeque::new();
        } else {
            self.parts.clear();
        }
        if self.scratch.capacity() > SCRATCH_KEEP {
            self.hint = self.scratch.len().max(self.hint / 2);
            self.scratch = BytesMut::new();
        } else {
            self.scratch.clear();
        }
        self.loose = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let n = output.fill_slices(&mut slices);
        slices[..n].iter().flat_map(|s| s.to_vec()).collect()
    }

    #[test]
    fn small_is_copied_and_large_is_chained_in_order() {
        let mut output = Output::default();
        output.write_with(|b| b.extend_from_slice(b"head"));
        let large = Bytes::from(vec![7; INLINE_MAX]);
        output.push(large.clone());
        output.push(Bytes::from_static(b"tail"));
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(output.fill_slices(&mut slices), 3);
        assert_eq!(slices[1].as_ptr(), large.as_ptr());
        assert_eq!((output.len(), output.unshared()), (INLINE_MAX + 8, 8));
        let expected: Vec<u8> = [b"head".as_slice(), &large, b"tail"].concat();
        for step in [1, 3, 100, INLINE_MAX - 100, 2] {
            let before = contents(&output);
            output.advance(step);
            assert_eq!(contents(&output), before[step..]);
        }
        assert_eq!(contents(&output), expected[expected.len() - 2..]);
        output.advance(100);
        assert!(output.is_empty());
        assert_eq!(contents(&output), b"");
    }

    #[test]
    fn memory_is_given_back() {
        let mut output = Output::default();
        for _ in 0..1000 {
            output.write_with(|b| b.extend_from_slice(&[0; 100]));
        }
        output.advance(usize::MAX);
        assert!(output.scratch.capacity() <= SCRATCH_KEEP);
        output.write_with(|b| b.extend_from_slice(b"x"));
        assert_eq!(contents(&output), b"x");
    }
}
