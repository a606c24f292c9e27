//! The router-annotations section: private metadata in front of the message.
//!
//! It is a list of flags, to-override, ingress router, trace and, if present, ingress mesh,
//! described by the unsigned long `SKPR--RA` in its long form.

use crate::codec::format as f;
use crate::codec::format::descriptor as d;
use crate::codec::{self, Reader, put_null, put_uint};
use bytes::{BufMut, Bytes, BytesMut};

/// Octets in the identifier of a mesh of edge routers.
const MESH_ID_LEN: usize = 15;

/// Room for the section without its strings.
const FIXED_LEN: usize = 48;

/// The metadata that routers put in front of a message. The strings are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterAnnotations {
    /// Bits: 0x01 streaming, 0x02 resend-released, 0x04 disable-Q2. Others are passed on.
    pub flags: u32,
    /// The address to use instead of the one in the properties.
    pub to_override: Option<Bytes>,
    /// The router where the message has entered the network, as `0/<router-id>`.
    pub ingress: Option<Bytes>,
    /// The routers that the message has passed.
    pub trace: Trace,
    /// The mesh of edge routers where the message has entered: 15 octets.
    pub ingress_mesh: Option<Bytes>,
}

/// The routers that a message has passed, oldest first, each as `0/<router-id>`.
///
/// It is kept encoded: routers count the entries, look through them, and append to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// Entries.
    count: u32,
    /// The encoded strings one after the other. All of them have been checked.
    encoded: Bytes,
}

/// The entries of a [`Trace`].
#[derive(Debug, Clone)]
pub struct TraceIter<'a> {
    r: Reader<'a>,
}

/// Why a router-annotations section is malformed. The texts go to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// The section is not a list.
    #[error("Invalid router annotations section: non-list type")]
    NotAList,
    /// The list has fewer than four elements.
    #[error("Invalid router annotations section: wrong list count")]
    WrongListCount,
    /// The to-override is neither a string nor null.
    #[error("Invalid router to-override annotation: wrong type")]
    ToOverride,
    /// The ingress router is neither a string nor null.
    #[error("Invalid router ingress annotation: wrong type")]
    Ingress,
    /// The trace is not a list.
    #[error("Invalid router trace annotation: not a list")]
    TraceNotAList,
    /// The trace has entries that are not strings.
    #[error("Invalid router trace annotation: list contains non-string entries")]
    TraceEntry,
    /// The ingress mesh is not a string of 15 octets.
    #[error("Invalid ingress-mesh annotation: wrong type")]
    IngressMesh,
}

// === impl RouterAnnotations ===

impl RouterAnnotations {
    /// Forward at once, without waiting for more content.
    pub const STREAMING: u32 = 0x01;
    /// The producer has asked for released deliveries to be sent again.
    pub const RESEND_RELEASED: u32 = 0x02;
    /// Do not apply back-pressure per received message.
    pub const DISABLE_Q2: u32 = 0x04;

    /// Reads the section with the value `value`, from its constructor on; see
    /// [`super::Section::value`]. The strings share `value`. Elements behind the ones known are
    /// ignored.
    ///
    /// # Errors
    ///
    /// What is malformed. A flags element of another type than uint counts as a wrong list.
    pub fn parse(value: &Bytes) -> Result<Self, AnnotationError> {
        let mut fields = match Reader::new(value).read_list() {
            Ok(fields) => fields,
            Err(codec::DecodeError::TypeMismatch { .. }) => return Err(AnnotationError::NotAList),
            Err(_) => return Err(AnnotationError::WrongListCount),
        };
        if fields.remaining() < 4 {
            return Err(AnnotationError::WrongListCount);
        }
        let flags = fields.required("flags", Reader::read_uint).map_err(|_| AnnotationError::WrongListCount)?;
        let to_override = fields.opt(Reader::read_str).map_err(|_| AnnotationError::ToOverride)?;
        let ingress = fields.opt(Reader::read_str).map_err(|_| AnnotationError::Ingress)?;
        let trace = fields.next_element().ok_or(AnnotationError::WrongListCount)?;
        let trace = Trace::read(trace, value)?;
        let ingress_mesh = match fields.next_element() {
            None => None,
            Some(r) => match r.read_str() {
                Ok(mesh) if mesh.len() == MESH_ID_LEN => Some(mesh),
                _ => return Err(AnnotationError::IngressMesh),
            },
        };
        let shared = |text: &str| value.slice_ref(text.as_bytes());
        Ok(Self {
            flags,
            to_override: to_override.map(shared),
            ingress: ingress.map(shared),
            trace,
            ingress_mesh: ingress_mesh.map(shared),
        })
    }

    /// Appends the whole section. `own` is the node `0/<router-id>` of this router: it is added to
    /// the trace, and becomes the ingress router if there is none yet.
    pub fn encode(&self, own: Option<&[u8]>, out: &mut BytesMut) {
        let ingress = self.ingress.as_deref().or(own);
        self.encode_parts(ingress, &self.trace, own, out);
    }

    /// Appends the whole section without ingress router and with an empty trace, as edge routers
    /// do, and all routers towards another network.
    pub fn encode_without_path(&self, out: &mut BytesMut) {
        self.encode_parts(None, &Trace::default(), None, out);
    }

    fn encode_parts(&self, ingress: Option<&[u8]>, trace: &Trace, own: Option<&[u8]>, out: &mut BytesMut) {
        let strings = [self.to_override.as_deref(), ingress, own, self.ingress_mesh.as_deref()];
        let len: usize = strings.iter().flatten().map(|s| s.len()).sum();
        out.reserve(FIXED_LEN + len + trace.encoded.len());
        out.put_slice(&[f::DESCRIBED, f::ULONG]);
        out.put_u64(d::ROUTER_ANNOTATIONS);
        out.put_u8(f::LIST32);
        codec::put_wide_body(out, |out| {
            put_uint(out, self.flags);
            put_opt_text(out, self.to_override.as_deref());
            put_opt_text(out, ingress);
            trace.encode(own, out);
            match &self.ingress_mesh {
                // Omitted rather than null: a null is malformed.
                None => 4,
                Some(mesh) => {
                    put_text(out, mesh);
                    5
                }
            }
        });
    }
}

// === impl Trace ===

impl Trace {
    /// Entries in the trace.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The trace has no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries as octets, oldest first.
    #[must_use]
    pub fn iter(&self) -> TraceIter<'_> {
        TraceIter { r: Reader::new(&self.encoded) }
    }

    /// Reads the trace at `r`, a part of `value`.
    fn read(r: &mut Reader<'_>, value: &Bytes) -> Result<Self, AnnotationError> {
        let mut items = r.read_list().map_err(|_| AnnotationError::TraceNotAList)?;
        let count = items.remaining();
        let mut encoded: Option<(&[u8], usize)> = None;
        while let Some(r) = items.next_element() {
            let (_, len) = encoded.get_or_insert((r.remaining(), 0));
            let start = r.position();
            r.read_str().map_err(|_| AnnotationError::TraceEntry)?;
            *len += r.position() - start;
        }
        let encoded = encoded.map_or_else(Bytes::new, |(octets, len)| value.slice_ref(&octets[..len]));
        Ok(Self { count, encoded })
    }

    fn encode(&self, own: Option<&[u8]>, out: &mut BytesMut) {
        if self.is_empty() && own.is_none() {
            out.put_u8(f::LIST0);
            return;
        }
        out.put_u8(f::LIST32);
        codec::put_wide_body(out, |out| {
            out.put_slice(&self.encoded);
            if let Some(own) = own {
                put_text(out, own);
            }
            self.count + u32::from(own.is_some())
        });
    }
}

impl<'a> IntoIterator for &'a Trace {
    type Item = &'a [u8];
    type IntoIter = TraceIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Encodes the entries anew, oldest first; each must be UTF-8.
impl<T: AsRef<[u8]>> FromIterator<T> for Trace {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut out = BytesMut::new();
        let count = entries.into_iter().map(|entry| put_text(&mut out, entry.as_ref())).count();
        Self { count: codec::wire_len(count), encoded: out.freeze() }
    }
}

// === impl TraceIter ===

impl<'a> Iterator for TraceIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.r.is_empty() {
            return None;
        }
        self.r.read_str().ok().map(str::as_bytes)
    }
}

// === strings ===

fn put_opt_text(out: &mut BytesMut, text: Option<&[u8]>) {
    match text {
        Some(text) => put_text(out, text),
        None => put_null(out),
    }
}

/// A string of UTF-8 octets.
fn put_text(out: &mut BytesMut, text: &[u8]) {
    codec::put_sized(out, f::STR8, f::STR32, text);
}
