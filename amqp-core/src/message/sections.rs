//! Finding the sections of a message, even of one that is still arriving.

use super::cursor::{Cursor, WINDOW};
use crate::codec::format as f;
use crate::codec::format::descriptor as d;
use bytes::Bytes;

/// How far into the message a scan has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Up to the router annotations.
    RouterAnnotations,
    /// Up to the header.
    Header,
    /// Up to the properties.
    Properties,
    /// Up to the application properties.
    ApplicationProperties,
    /// Up to the start of the body.
    Body,
    /// All of the message, body and footer included.
    All,
}

/// Where a section is: octets from the start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Section {
    /// The zero octet that introduces the descriptor.
    pub start: usize,
    /// The constructor of the described list, map, binary or value.
    pub value: usize,
    /// The first octet behind the section.
    pub end: usize,
}

/// What the body consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// Data sections.
    Data,
    /// AMQP-sequence sections.
    Sequence,
    /// One AMQP-value section.
    Value,
}

/// The sections found so far. A section that is absent, or lies behind the depth that was asked
/// for, is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SectionMap {
    /// The private section of routers, in front of all others.
    pub router_annotations: Option<Section>,
    /// The header.
    pub header: Option<Section>,
    /// The delivery annotations.
    pub delivery_annotations: Option<Section>,
    /// The message annotations.
    pub message_annotations: Option<Section>,
    /// The properties.
    pub properties: Option<Section>,
    /// The application properties.
    pub application_properties: Option<Section>,
    /// Where the first body section starts, in octets, and what the body consists of.
    pub body: Option<(usize, BodyKind)>,
    /// The footer; only looked for at [`Depth::All`].
    pub footer: Option<Section>,
    /// Octets scanned. What follows has not been looked at.
    pub scanned: usize,
}

/// What a scan has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "handed out once per message, where a box would have to allocate")]
pub enum ScanResult {
    /// More of the message is needed.
    Incomplete,
    /// All the sections up to the depth are known.
    Ok(SectionMap),
    /// The message is malformed.
    Invalid(SectionError),
}

/// Why a message is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// The message has no octets.
    #[error("message is empty")]
    Empty,
    /// The message ends inside a section.
    #[error("message ends inside a section")]
    Truncated,
    /// A section is there twice.
    #[error("section {0:#x} appears twice")]
    Duplicate(u64),
    /// A section comes behind one that it has to precede.
    #[error("section {0:#x} is out of order")]
    OutOfOrder(u64),
    /// A section does not hold the type that it has to hold.
    #[error("section {section:#x} has constructor {found:#04x}")]
    WrongType {
        /// The descriptor of the section.
        section: u64,
        /// The constructor found.
        found: u8,
    },
}

/// A scan that can be taken up again when more of the message has arrived. It never allocates.
#[derive(Debug, Clone, Default)]
pub struct SectionScanner {
    map: SectionMap,
    /// What has been found last.
    last: Rank,
    /// Nothing behind `map.scanned` is a section; the rest is opaque.
    ended: bool,
    /// What an incomplete scan waits for.
    wait: Option<Wait>,
    /// Chunks that were counted, and the octets in them.
    counted: (usize, usize),
}

/// A scan to `depth` cannot tell more before the message has so many octets.
#[derive(Debug, Clone, Copy)]
struct Wait {
    depth: Depth,
    octets: usize,
}

/// The order of sections (part 3, 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Rank {
    #[default]
    Start,
    RouterAnnotations,
    Header,
    DeliveryAnnotations,
    MessageAnnotations,
    Properties,
    ApplicationProperties,
    Body,
    Footer,
}

/// What comes next in the message.
enum Next {
    /// Not enough octets to tell; so many are needed at least.
    Incomplete(usize),
    /// Something that is not a section: opaque content.
    Opaque,
    /// A section.
    Section { code: u64, rank: Rank, value: usize, constructor: u8, len: Extent },
}

/// How many octets a value has, constructor included.
#[derive(Clone, Copy)]
enum Extent {
    /// The size field is not there yet; so many octets are needed to tell.
    Unknown(usize),
    Known(usize),
    /// The value is described: descriptor and value follow.
    Described,
    /// No type has this constructor.
    Illegal,
}

/// Scans a message in one go; see [`SectionScanner::scan`].
#[must_use]
pub fn scan(chunks: &[Bytes], complete: bool, depth: Depth) -> ScanResult {
    SectionScanner::default().scan(chunks, complete, depth)
}

// === impl SectionScanner ===

impl SectionScanner {
    /// Looks for sections in `chunks`, the message from its first octet on as far as it has
    /// arrived; `complete` when it has arrived to the end. Until then each call is given the chunks
    /// of the one before and more behind them. Sections found by earlier calls are not looked at
    /// again, and what is incomplete not before it can be complete. Types and lengths of sections are checked, not their contents. At
    /// [`Depth::Body`] and below the body is not looked into; whatever is not a section that is
    /// known here ends the scan like a body.
    pub fn scan(&mut self, chunks: &[Bytes], complete: bool, depth: Depth) -> ScanResult {
        if self.ended || self.last >= depth.last_rank() {
            return ScanResult::Ok(self.map);
        }
        if !complete && self.waits(chunks, depth) {
            return ScanResult::Incomplete;
        }
        let mut cursor = Cursor::new(chunks, self.map.scanned);
        match self.run(&mut cursor, depth) {
            Ok(None) => ScanResult::Ok(self.map),
            Ok(Some(octets)) if !complete => {
                self.wait = Some(Wait { depth, octets });
                ScanResult::Incomplete
            }
            Ok(Some(_)) => match cursor.end() {
                0 => ScanResult::Invalid(SectionError::Empty),
                end if end > self.map.scanned => ScanResult::Invalid(SectionError::Truncated),
                _ => ScanResult::Ok(self.map),
            },
            Err(error) => ScanResult::Invalid(error),
        }
    }

    /// Whether something follows the sections found so far that is none that is known here.
    #[must_use]
    pub const fn ends_opaquely(&self) -> bool {
        self.ended
    }

    /// Whether a scan to `depth` would end where the last one did. A scan that goes less deep may not get there.
    fn waits(&mut self, chunks: &[Bytes], depth: Depth) -> bool {
        let (counted, octets) = &mut self.counted;
        *octets += chunks.iter().skip(*counted).map(Bytes::len).sum::<usize>();
        *counted = chunks.len();
        self.wait.is_some_and(|wait| depth >= wait.depth && *octets < wait.octets)
    }

    /// Goes on to `depth`. When the octets do not suffice, tells how many the message must have at least.
    fn run(&mut self, cursor: &mut Cursor<'_>, depth: Depth) -> Result<Option<usize>, SectionError> {
        while !self.ended && self.last < depth.last_rank() {
            let (code, rank, value, constructor, len) = match next(cursor) {
                Next::Incomplete(octets) => return Ok(Some(cursor.pos() + octets)),
                Next::Opaque => {
                    self.ended = true;
                    break;
                }
                Next::Section { code, rank, value, constructor, len } => (code, rank, value, constructor, len),
            };
            if rank > depth.last_rank() {
                return Ok(None);
            }
            self.check(code, rank, constructor)?;
            if rank == Rank::Body {
                self.map.body.get_or_insert((cursor.pos(), body_kind(code)));
                if depth == Depth::Body {
                    return Ok(None);
                }
            }
            let start = cursor.pos();
            let mut behind = cursor.clone();
            if let Some(octets) = skip(&mut behind, value, len, code, constructor)? {
                return Ok(Some(octets));
            }
            *cursor = behind;
            self.note(rank, Section { start, value: start + value, end: cursor.pos() });
        }
        Ok(None)
    }

    /// The section may come behind those found before.
    fn check(&self, code: u64, rank: Rank, constructor: u8) -> Result<(), SectionError> {
        let repeated_body = rank == Rank::Body
            && matches!(self.map.body, Some((_, kind)) if kind == body_kind(code) && kind != BodyKind::Value);
        if rank == self.last && !repeated_body {
            return Err(SectionError::Duplicate(code));
        }
        if rank < self.last {
            return Err(SectionError::OutOfOrder(code));
        }
        let fits = match rank {
            Rank::RouterAnnotations | Rank::Header | Rank::Properties => {
                matches!(constructor, f::LIST0 | f::LIST8 | f::LIST32)
            }
            Rank::Body if code == d::DATA => matches!(constructor, f::BIN8 | f::BIN32),
            Rank::Body if code == d::AMQP_SEQUENCE => matches!(constructor, f::LIST0 | f::LIST8 | f::LIST32),
            Rank::Start | Rank::Body => true,
            Rank::DeliveryAnnotations | Rank::MessageAnnotations | Rank::ApplicationProperties | Rank::Footer => {
                matches!(constructor, f::MAP8 | f::MAP32)
            }
        };
        if fits { Ok(()) } else { Err(SectionError::WrongType { section: code, found: constructor }) }
    }

    fn note(&mut self, rank: Rank, section: Section) {
        let map = &mut self.map;
        match rank {
            Rank::RouterAnnotations => map.router_annotations = Some(section),
            Rank::Header => map.header = Some(section),
            Rank::DeliveryAnnotations => map.delivery_annotations = Some(section),
            Rank::MessageAnnotations => map.message_annotations = Some(section),
            Rank::Properties => map.properties = Some(section),
            Rank::ApplicationProperties => map.application_properties = Some(section),
            Rank::Footer => map.footer = Some(section),
            Rank::Start | Rank::Body => {}
        }
        map.scanned = section.end;
        self.last = rank;
    }
}

impl Depth {
    /// The section that ends a scan of this depth.
    const fn last_rank(self) -> Rank {
        match self {
            Self::RouterAnnotations => Rank::RouterAnnotations,
            Self::Header => Rank::Header,
            Self::Properties => Rank::Properties,
            Self::ApplicationProperties => Rank::ApplicationProperties,
            Self::Body => Rank::Body,
            Self::All => Rank::Footer,
        }
    }
}

// === impl Section ===

impl Section {
    /// Octets in the section, descriptor included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// The section has no octets; never true of one that was found.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// The value of the section, from its constructor on; what the views in [`super::header`] and
    /// its siblings read. Shared with the chunk unless it straddles chunks. `chunks` must be those
    /// that were scanned.
    #[must_use]
    pub fn value(&self, chunks: &[Bytes]) -> Bytes {
        Cursor::new(chunks, self.value).slice(self.end - self.value)
    }

    /// The whole section, from its descriptor on.
    #[must_use]
    pub fn octets(&self, chunks: &[Bytes]) -> Bytes {
        Cursor::new(chunks, self.start).slice(self.len())
    }
}

// === looking ahead ===

const fn body_kind(code: u64) -> BodyKind {
    match code {
        d::DATA => BodyKind::Data,
        d::AMQP_SEQUENCE => BodyKind::Sequence,
        _ => BodyKind::Value,
    }
}

/// The section with the descriptor `code`. Router annotations are known by the long form only.
const fn rank_of(code: u64, long: bool) -> Option<Rank> {
    Some(match code {
        d::ROUTER_ANNOTATIONS if long => Rank::RouterAnnotations,
        d::HEADER => Rank::Header,
        d::DELIVERY_ANNOTATIONS => Rank::DeliveryAnnotations,
        d::MESSAGE_ANNOTATIONS => Rank::MessageAnnotations,
        d::PROPERTIES => Rank::Properties,
        d::APPLICATION_PROPERTIES => Rank::ApplicationProperties,
        d::DATA | d::AMQP_SEQUENCE | d::AMQP_VALUE => Rank::Body,
        d::FOOTER => Rank::Footer,
        _ => return None,
    })
}

fn next(cursor: &Cursor<'_>) -> Next {
    let mut scratch = [0; WINDOW];
    let window = cursor.window(&mut scratch);
    let (code, long, rest) = match window {
        [] | [f::DESCRIBED] | [f::DESCRIBED, f::SMALLULONG] => return Next::Incomplete(window.len() + 1),
        [f::DESCRIBED, f::SMALLULONG, code, rest @ ..] => (u64::from(*code), false, rest),
        [f::DESCRIBED, f::ULONG, rest @ ..] => match rest.split_first_chunk::<8>() {
            Some((code, rest)) => (u64::from_be_bytes(*code), true, rest),
            None => return Next::Incomplete(10),
        },
        _ => return Next::Opaque,
    };
    let Some(rank) = rank_of(code, long) else { return Next::Opaque };
    let Some(&constructor) = rest.first() else { return Next::Incomplete(window.len() + 1) };
    Next::Section { code, rank, value: window.len() - rest.len(), constructor, len: extent(rest) }
}

/// How many octets the value that starts with `head` takes, constructor included.
fn extent(head: &[u8]) -> Extent {
    let Some((&code, rest)) = head.split_first() else { return Extent::Unknown(1) };
    match code >> 4 {
        0x0 if code == f::DESCRIBED => Extent::Described,
        0x4 => Extent::Known(1),
        0x5 => Extent::Known(2),
        0x6 => Extent::Known(3),
        0x7 => Extent::Known(5),
        0x8 => Extent::Known(9),
        0x9 => Extent::Known(17),
        0xa | 0xc | 0xe => rest.first().map_or(Extent::Unknown(2), |len| Extent::Known(2 + usize::from(*len))),
        0xb | 0xd | 0xf => rest.first_chunk().map_or(Extent::Unknown(5), |len| {
            let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
            Extent::Known(len.saturating_add(5))
        }),
        _ => Extent::Illegal,
    }
}

/// Moves behind the section whose value starts `value` octets on and has the extent `len`. When not all of it is there,
/// tells how many octets the message must have at least.
fn skip(
    cursor: &mut Cursor<'_>,
    value: usize,
    mut len: Extent,
    section: u64,
    mut found: u8,
) -> Result<Option<usize>, SectionError> {
    cursor.advance(value);
    let mut pending = 1_usize;
    loop {
        let end = |len| cursor.pos().saturating_add(len);
        match len {
            Extent::Unknown(len) => return Ok(Some(end(len))),
            Extent::Illegal => return Err(SectionError::WrongType { section, found }),
            Extent::Known(len) => {
                let end = end(len);
                pending -= 1;
                if !cursor.advance(len) {
                    return Ok(Some(end));
                }
            }
            // Replaces one pending value by two.
            Extent::Described => {
                pending += 1;
                cursor.advance(1);
            }
        }
        if pending == 0 {
            return Ok(None);
        }
        let mut scratch = [0; WINDOW];
        let window = cursor.window(&mut scratch);
        found = window.first().copied().unwrap_or_default();
        len = extent(window);
    }
}
