//! What can be wrong with encoded data.

/// A violation of the AMQP encoding rules; one variant per rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The data ends inside a value.
    #[error("data ends inside a value")]
    UnexpectedEnd,
    /// No type has this format code (part 1, 1.6).
    #[error("unknown format code {0:#04x}")]
    UnknownFormatCode(u8),
    /// The value has another type than the field demands.
    #[error("expected {expected}, found format code {found:#04x}")]
    TypeMismatch {
        /// The type demanded.
        expected: &'static str,
        /// The format code found.
        found: u8,
    },
    /// A string is not UTF-8.
    #[error("string is not valid UTF-8")]
    InvalidUtf8,
    /// A symbol is not ASCII.
    #[error("symbol is not ASCII")]
    InvalidSymbol,
    /// A char is not a Unicode scalar value.
    #[error("{0:#x} is not a character")]
    InvalidChar(u32),
    /// A boolean octet is neither 0 nor 1.
    #[error("{0:#04x} is not a boolean")]
    InvalidBool(u8),
    /// Values are nested deeper than [`super::MAX_DEPTH`].
    #[error("values are nested too deeply")]
    DepthExceeded,
    /// A map has a key without a value.
    #[error("map has an odd number of elements: {0}")]
    OddMapCount(u32),
    /// The count cannot be true for the octets given.
    #[error("{count} elements cannot be encoded in {octets} octets")]
    CountTooLarge {
        /// The count claimed.
        count: u32,
        /// The octets there are for the elements.
        octets: usize,
    },
    /// The size of a compound value does not agree with its elements.
    #[error("size of a compound value does not match its elements")]
    SizeMismatch,
    /// The descriptor of an array's elements is neither a number nor a short symbol.
    #[error("unsupported descriptor for array elements")]
    ArrayDescriptor,
    /// A descriptor is neither a number nor a symbol.
    #[error("unsupported descriptor, format code {0:#04x}")]
    InvalidDescriptor(u8),
    /// No composite type known here has this symbolic descriptor.
    #[error("unknown symbolic descriptor")]
    UnknownSymbolicDescriptor,
    /// The descriptor does not belong to a type that is allowed here.
    #[error("descriptor {found:#x} is not {expected}")]
    UnexpectedDescriptor {
        /// What is allowed.
        expected: &'static str,
        /// The numeric descriptor found.
        found: u64,
    },
    /// A mandatory field is absent or null.
    #[error("mandatory field {0} is missing")]
    MissingField(&'static str),
    /// A delivery tag is longer than 32 octets (part 2, 2.8.7).
    #[error("delivery tag of {0} octets is longer than 32")]
    DeliveryTagTooLong(usize),
    /// A field has a value that its type does not allow.
    #[error("field {0} has an illegal value")]
    IllegalValue(&'static str),
}
