//! A position in data that lies in several chunks.

use bytes::{Bytes, BytesMut};

/// Octets that a look-ahead needs at most: descriptor (10), constructor (1), size (4).
pub(super) const WINDOW: usize = 15;

/// A position in `chunks`, which are read as if they were one piece.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    chunks: &'a [Bytes],
    /// The chunk that the position is in, or the number of chunks.
    chunk: usize,
    /// The position within that chunk, smaller than its length.
    offset: usize,
    /// The position in the whole.
    pos: usize,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    /// A cursor at `pos`, which is moved back to the end if it lies behind it.
    pub(super) fn new(chunks: &'a [Bytes], pos: usize) -> Self {
        let mut cursor = Self { chunks, chunk: 0, offset: 0, pos: 0 };
        cursor.skip_empty();
        cursor.advance(pos);
        cursor
    }

    /// The position in the whole.
    pub(super) const fn pos(&self) -> usize {
        self.pos
    }

    /// Moves on by `len` octets; `false` when there are fewer, and then it is at the end.
    pub(super) fn advance(&mut self, mut len: usize) -> bool {
        while let Some(chunk) = self.chunks.get(self.chunk) {
            let left = chunk.len() - self.offset;
            if len < left {
                self.offset += len;
                self.pos += len;
                return true;
            }
            len -= left;
            self.pos += left;
            self.chunk += 1;
            self.offset = 0;
        }
        len == 0
    }

    /// Where the data ends, in the whole.
    pub(super) fn end(&self) -> usize {
        let mut cursor = self.clone();
        cursor.advance(usize::MAX);
        cursor.pos
    }

    fn skip_empty(&mut self) {
        while self.chunks.get(self.chunk).is_some_and(Bytes::is_empty) {
            self.chunk += 1;
        }
    }

    /// The octets that come next: as many as lie in one piece, or, if these are few, up to
    /// [`WINDOW`] of them gathered in `scratch`.
    pub(super) fn window<'b>(&self, scratch: &'b mut [u8; WINDOW]) -> &'b [u8]
    where
        'a: 'b,
    {
        let Some(first) = self.chunks.get(self.chunk) else { return &[] };
        let head = &first[self.offset..];
        if head.len() >= WINDOW || self.chunk + 1 == self.chunks.len() {
            return head;
        }
        let mut filled = 0;
        let rest = self.chunks[self.chunk + 1..].iter().map(|chunk| &chunk[..]);
        for piece in std::iter::once(head).chain(rest) {
            let take = piece.len().min(WINDOW - filled);
            scratch[filled..filled + take].copy_from_slice(&piece[..take]);
            filled += take;
            if filled == WINDOW {
                break;
            }
        }
        &scratch[..filled]
    }

    /// The next `len` octets as one piece, shared with the chunk if they lie in one; fewer if the
    /// end comes first.
    pub(super) fn slice(&self, len: usize) -> Bytes {
        let Some(first) = self.chunks.get(self.chunk) else { return Bytes::new() };
        if len <= first.len() - self.offset {
            return first.slice(self.offset..self.offset + len);
        }
        let mut gathered = BytesMut::new();
        let rest = self.chunks[self.chunk + 1..].iter().map(|chunk| &chunk[..]);
        for piece in std::iter::once(&first[self.offset..]).chain(rest) {
            let take = piece.len().min(len - gathered.len());
            gathered.extend_from_slice(&piece[..take]);
        }
        gathered.freeze()
    }
}
