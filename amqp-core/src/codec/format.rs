//! Format codes of the AMQP type system (part 1, 1.6) and descriptor codes of the composite types.

/// Introduces a descriptor.
pub const DESCRIBED: u8 = 0x00;
/// The null value.
pub const NULL: u8 = 0x40;
/// Boolean true without data.
pub const TRUE: u8 = 0x41;
/// Boolean false without data.
pub const FALSE: u8 = 0x42;
/// Unsigned int 0 without data.
pub const UINT0: u8 = 0x43;
/// Unsigned long 0 without data.
pub const ULONG0: u8 = 0x44;
/// The empty list without data.
pub const LIST0: u8 = 0x45;
/// Unsigned byte.
pub const UBYTE: u8 = 0x50;
/// Signed byte.
pub const BYTE: u8 = 0x51;
/// Unsigned int in one octet.
pub const SMALLUINT: u8 = 0x52;
/// Unsigned long in one octet.
pub const SMALLULONG: u8 = 0x53;
/// Signed int in one octet.
pub const SMALLINT: u8 = 0x54;
/// Signed long in one octet.
pub const SMALLLONG: u8 = 0x55;
/// Boolean in one octet.
pub const BOOL: u8 = 0x56;
/// Unsigned short.
pub const USHORT: u8 = 0x60;
/// Signed short.
pub const SHORT: u8 = 0x61;
/// Unsigned int in four octets.
pub const UINT: u8 = 0x70;
/// Signed int in four octets.
pub const INT: u8 = 0x71;
/// 32-bit float.
pub const FLOAT: u8 = 0x72;
/// UTF-32 character.
pub const CHAR: u8 = 0x73;
/// 32-bit decimal.
pub const DECIMAL32: u8 = 0x74;
/// Unsigned long in eight octets.
pub const ULONG: u8 = 0x80;
/// Signed long in eight octets.
pub const LONG: u8 = 0x81;
/// 64-bit float.
pub const DOUBLE: u8 = 0x82;
/// Milliseconds since the Unix epoch.
pub const TIMESTAMP: u8 = 0x83;
/// 64-bit decimal.
pub const DECIMAL64: u8 = 0x84;
/// 128-bit decimal.
pub const DECIMAL128: u8 = 0x94;
/// UUID.
pub const UUID: u8 = 0x98;
/// Binary with a one-octet length.
pub const BIN8: u8 = 0xa0;
/// String with a one-octet length.
pub const STR8: u8 = 0xa1;
/// Symbol with a one-octet length.
pub const SYM8: u8 = 0xa3;
/// Binary with a four-octet length.
pub const BIN32: u8 = 0xb0;
/// String with a four-octet length.
pub const STR32: u8 = 0xb1;
/// Symbol with a four-octet length.
pub const SYM32: u8 = 0xb3;
/// List with one-octet size and count.
pub const LIST8: u8 = 0xc0;
/// Map with one-octet size and count.
pub const MAP8: u8 = 0xc1;
/// List with four-octet size and count.
pub const LIST32: u8 = 0xd0;
/// Map with four-octet size and count.
pub const MAP32: u8 = 0xd1;
/// Array with one-octet size and count.
pub const ARRAY8: u8 = 0xe0;
/// Array with four-octet size and count.
pub const ARRAY32: u8 = 0xf0;

/// Numeric descriptors (domain 0) of the composite types of parts 2, 3, 4 and 5.
pub mod descriptor {
    /// open (part 2, 2.7.1).
    pub const OPEN: u64 = 0x10;
    /// begin.
    pub const BEGIN: u64 = 0x11;
    /// attach.
    pub const ATTACH: u64 = 0x12;
    /// flow.
    pub const FLOW: u64 = 0x13;
    /// transfer.
    pub const TRANSFER: u64 = 0x14;
    /// disposition.
    pub const DISPOSITION: u64 = 0x15;
    /// detach.
    pub const DETACH: u64 = 0x16;
    /// end.
    pub const END: u64 = 0x17;
    /// close.
    pub const CLOSE: u64 = 0x18;
    /// error (part 2, 2.8.14).
    pub const ERROR: u64 = 0x1d;
    /// received (part 3, 3.4.1).
    pub const RECEIVED: u64 = 0x23;
    /// accepted.
    pub const ACCEPTED: u64 = 0x24;
    /// rejected.
    pub const REJECTED: u64 = 0x25;
    /// released.
    pub const RELEASED: u64 = 0x26;
    /// modified.
    pub const MODIFIED: u64 = 0x27;
    /// source (part 3, 3.5.3).
    pub const SOURCE: u64 = 0x28;
    /// target.
    pub const TARGET: u64 = 0x29;
    /// coordinator (part 4, 4.5.1).
    pub const COORDINATOR: u64 = 0x30;
    /// declare.
    pub const DECLARE: u64 = 0x31;
    /// discharge.
    pub const DISCHARGE: u64 = 0x32;
    /// declared.
    pub const DECLARED: u64 = 0x33;
    /// transactional-state.
    pub const TRANSACTIONAL_STATE: u64 = 0x34;
    /// sasl-mechanisms (part 5, 5.3.3).
    pub const SASL_MECHANISMS: u64 = 0x40;
    /// sasl-init.
    pub const SASL_INIT: u64 = 0x41;
    /// sasl-challenge.
    pub const SASL_CHALLENGE: u64 = 0x42;
    /// sasl-response.
    pub const SASL_RESPONSE: u64 = 0x43;
    /// sasl-outcome.
    pub const SASL_OUTCOME: u64 = 0x44;
    /// header section (part 3, 3.2.1).
    pub const HEADER: u64 = 0x70;
    /// delivery-annotations section.
    pub const DELIVERY_ANNOTATIONS: u64 = 0x71;
    /// message-annotations section.
    pub const MESSAGE_ANNOTATIONS: u64 = 0x72;
    /// properties section.
    pub const PROPERTIES: u64 = 0x73;
    /// application-properties section.
    pub const APPLICATION_PROPERTIES: u64 = 0x74;
    /// data body section.
    pub const DATA: u64 = 0x75;
    /// amqp-sequence body section.
    pub const AMQP_SEQUENCE: u64 = 0x76;
    /// amqp-value body section.
    pub const AMQP_VALUE: u64 = 0x77;
    /// footer section.
    pub const FOOTER: u64 = 0x78;
    /// router-annotations section, private to routers: the octets `SKPR--RA`.
    pub const ROUTER_ANNOTATIONS: u64 = 0x534b_5052_2d2d_5241;
}
