//! Tests of owned values: known encodings, hostile input, and the trace notation.

use super::*;
use crate::codec::tests::hex;
use crate::codec::{Decode, DecodeError, Encode, MAX_DEPTH, Reader};

fn decode(octets: &Bytes) -> Result<Value, DecodeError> {
    let mut r = Reader::new(octets);
    let value = Value::decode(&mut r)?;
    assert!(r.is_empty(), "octets left");
    Ok(value)
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn array(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(items.into_iter().collect())
}

/// The bodies of captured link-state messages, and arrays.
#[test]
fn known_encodings_both_ways() {
    let peers = Map::new().with("B.west", 3);
    let ls = Map::new().with("id", "A.east").with("area", "0").with("ls_seq", 1).with("peers", peers);
    let cases: [(Value, &str); 8] = [
        (Value::Null, "40"),
        (Value::from(vec![Value::from(false)]), "c0 02 01 42"),
        (
            ls.into(),
            "c1 34 08 a102'id' a106'A.east' a104'area' a101'0' a106'ls_seq' 5401
             a105'peers' c1 0b 02 a106'B.west' 5403",
        ),
        (array([]), "e0 02 00 40"),
        (array([1_u32.into(), 2_u32.into()]), "e0 0a 02 70 00000001 00000002"),
        (array(["a".into(), "bc".into()]), "e0 07 02 a1 01'a' 02'bc'"),
        (array([list([1_u32.into()]), list([])]), "e0 14 02 d0 00000006 00000001 5201 00000004 00000000"),
        (
            array([Value::described(0x24, true.into()), Value::described(0x24, false.into())]),
            "e0 07 02 00 5324 56 01 00",
        ),
    ];
    for (value, octets) in cases {
        let octets = hex(octets);
        assert_eq!(value.to_bytes(), octets, "{value}");
        assert_eq!(decode(&octets), Ok(value));
    }
}

#[test]
fn mixed_arrays_are_written_as_lists() {
    let mixed = array([1_u32.into(), "x".into()]);
    assert_eq!(decode(&mixed.to_bytes()), Ok(list([1_u32.into(), "x".into()])));
    let nested = array([array([1_u32.into()]), mixed]);
    assert!(matches!(decode(&nested.to_bytes()), Ok(Value::List(_))));
}

#[test]
fn nesting_is_limited() {
    let nested = |levels: u8| (1..levels).fold(list([]), |inner, _| list([inner]));
    let deepest = nested(MAX_DEPTH);
    assert_eq!(decode(&deepest.to_bytes()), Ok(deepest));
    assert_eq!(decode(&nested(MAX_DEPTH + 1).to_bytes()), Err(DecodeError::DepthExceeded));
    assert_eq!(decode(&Bytes::from(vec![0; 100_000])), Err(DecodeError::DepthExceeded));
}

#[test]
fn false_counts_are_refused() {
    let too_large = |count, octets| Err(DecodeError::CountTooLarge { count, octets });
    assert_eq!(decode(&hex("d0 00000004 ffffffff")), too_large(u32::MAX, 0));
    // Elements without data could be any number.
    assert_eq!(decode(&hex("f0 00000005 ffffffff 40")), too_large(u32::MAX, 0));
    assert_eq!(decode(&hex("f0 00000005 00000011 45")), too_large(17, 0));
    assert_eq!(decode(&hex("e0 02 10 41")), Ok(array(vec![true.into(); 16])));
    assert_eq!(decode(&hex("f0 00000006 00000002 50 00")), too_large(2, 1));
    assert_eq!(decode(&hex("c0 03 01 40 40")), Err(DecodeError::SizeMismatch));
    assert_eq!(decode(&hex("c1 02 01 40")), Err(DecodeError::OddMapCount(1)));
}

#[test]
fn array_descriptors_are_bounded() {
    let symbol = "x".repeat(65);
    let octets = hex(&format!("e0 47 01 00 a341 '{symbol}' 50 01"));
    assert_eq!(decode(&octets), Err(DecodeError::ArrayDescriptor));
    assert_eq!(decode(&hex("e0 06 01 00 5324 00 40")), Err(DecodeError::ArrayDescriptor));
}

#[test]
fn odd_scalars_are_refused() {
    assert_eq!(decode(&hex("73 0000d800")), Err(DecodeError::InvalidChar(0xd800)));
    assert_eq!(decode(&hex("46")), Err(DecodeError::UnknownFormatCode(0x46)));
    assert_eq!(decode(&hex("")), Err(DecodeError::UnexpectedEnd));
}

#[test]
fn accessors() {
    assert_eq!(Value::from("x").as_str(), Some("x"));
    assert_eq!(Value::symbol("x").as_str(), Some("x"));
    assert_eq!(Value::from(3_u8).as_i64(), Some(3));
    assert_eq!(Value::from(u64::MAX).as_i64(), None);
    assert_eq!(Value::from(u64::MAX).as_u64(), Some(u64::MAX));
    assert_eq!(Value::from(-1_i8).as_u64(), None);
    assert_eq!(Value::from(true).as_i64(), None);
    let map = Map::new().with(Symbol::from("a"), 1).with("b", Value::Null);
    assert_eq!(map.get("a"), Some(&Value::Int(1)));
    assert_eq!(map.get("b"), Some(&Value::Null));
    assert_eq!(map.get("c"), None);
    assert_eq!(Value::from(None::<u32>), Value::Null);
}

#[test]
fn trace_notation() {
    let cases: [(Value, &str); 16] = [
        (Value::Null, "null"),
        (true.into(), "true"),
        (16384_u32.into(), "0x4000"),
        (Value::Ubyte(2), "0x2"),
        ((-5).into(), "-5"),
        ("a\"b\\\n\u{e9}".into(), r#""a\"b\\\x0a\xc3\xa9""#),
        (Value::Binary(Bytes::from_static(b"1\0")), r#"b"1\x00""#),
        (Value::symbol("ANONYMOUS-RELAY"), ":ANONYMOUS-RELAY"),
        (Value::symbol("qd.conn-id"), r#":"qd.conn-id""#),
        (list([1.into(), Value::Null]), "[1, null]"),
        (Map::new().with(Symbol::from("a.b"), 1).with("c", "d").into(), r#"{:"a.b"=1, "c"="d"}"#),
        (array([Value::symbol("a"), Value::symbol("b.c")]), r#"@<symbol>[:a, :"b.c"]"#),
        (
            Value::described(0x28, list(["x".into(), 0_u32.into(), Value::Null, 0_u32.into()])),
            r#"@source(40) [address="x", durable=0x0, timeout=0x0]"#,
        ),
        (Value::described(0x24, list([])), "@accepted(36) []"),
        (Value::described(0x99, 1.into()), "@0x99 1"),
        (Value::Uuid(*b"0123456789abcdef"), "30313233-3435-3637-3839-616263646566"),
    ];
    for (value, text) in cases {
        assert_eq!(value.to_string(), text);
    }
}
