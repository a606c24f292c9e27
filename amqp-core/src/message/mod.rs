//! Messages (part 3, 3.2): the sections inside the payload of a delivery.
//!
//! Routers look at the start of a message and forward the rest untouched. [`SectionScanner`]
//! finds the sections in a message that is still arriving; the views in [`header`],
//! [`properties`] and [`app_properties`] read single fields out of them without building values.
//! [`RouterAnnotations`] is the private section that routers exchange. [`MessageBuilder`] and
//! [`Message`] compose and read whole messages, for management and control traffic.

mod annotations;
pub mod app_properties;
mod compose;
mod cursor;
pub mod header;
pub mod properties;
mod read;
mod sections;

#[cfg(test)]
mod tests;

pub use annotations::{AnnotationError, RouterAnnotations, Trace, TraceIter};
pub use compose::MessageBuilder;
pub use header::Header;
pub use properties::{Properties, PropertiesView, PropertyField};
pub use read::{Body, Message, MessageError};
pub use sections::{BodyKind, Depth, ScanResult, Section, SectionError, SectionMap, SectionScanner, scan};
