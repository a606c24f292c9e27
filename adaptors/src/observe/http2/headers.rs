//! Header blocks, from the frames that carry them (RFC 9113 section 4.3).

use super::Error;
use super::fields::Fields;
use super::frame::{FrameHead, kind};
use super::hpack;
use crate::observe::scratch::{LIMIT, Scratch};

/// Puts the header blocks of one direction together and decodes them.
#[derive(Debug)]
pub(super) struct HeaderBlocks {
    /// What came of a block that is continued.
    kept: Scratch,
    /// The frame that began it.
    begun: Option<FrameHead>,
    decoder: hpack::Decoder,
    fields: Fields,
}

// === impl HeaderBlocks ===

impl HeaderBlocks {
    pub(super) fn new() -> Self {
        Self { kept: Scratch::new(), begun: None, decoder: hpack::Decoder::new(), fields: Fields::default() }
    }

    /// How many octets a frame may have that has to be kept, too.
    pub(super) fn room(&self) -> usize {
        LIMIT - self.kept.len()
    }

    /// HEADERS, PUSH_PROMISE or CONTINUATION. If the block is complete, tells the frame that began it.
    pub(super) fn on_frame(&mut self, head: FrameHead, payload: &[u8]) -> Result<Option<FrameHead>, Error> {
        let begun = match self.begun {
            None if head.kind != kind::CONTINUATION => {
                let fragment = head.fragment(payload)?;
                if head.ends_headers() {
                    self.fields.decode(&mut self.decoder, fragment)?;
                    return Ok(Some(head));
                }
                self.kept.push(fragment).map_err(|_| Error::TooLarge)?;
                head
            }
            Some(begun) if head.kind == kind::CONTINUATION && head.stream == begun.stream => {
                self.kept.push(payload).map_err(|_| Error::TooLarge)?;
                begun
            }
            _ => return Err(Error::Continuation),
        };
        self.begun = Some(begun);
        if !head.ends_headers() {
            return Ok(None);
        }
        self.begun = None;
        self.fields.decode(&mut self.decoder, &self.kept)?;
        self.kept.clear();
        Ok(Some(begun))
    }

    /// What the block says that was completed last.
    pub(super) const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The receiver of these blocks offers a dynamic table of this size.
    pub(super) fn offer_table(&mut self, size: u32) {
        self.decoder.offer(size);
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn footprint(&self) -> usize {
        self.kept.footprint() + self.decoder.footprint()
    }
}
