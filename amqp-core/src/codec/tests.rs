//! Tests of the reader and the writer against hand-made octets.

use super::*;
use crate::value::Symbol;

/// Octets from hex text; blanks are ignored, `'text'` stands for itself.
pub(crate) fn hex(text: &str) -> Bytes {
    let mut out = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> =
            part.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
        assert_eq!(digits.len() % 2, 0, "odd hex in {part}");
        out.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    out.into()
}

fn read<T>(octets: &str, read: impl FnOnce(&mut Reader<'static>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // Leaked so that methods, which are not general in the lifetime of the reader, can be given.
    let octets: &'static [u8] = hex(octets).to_vec().leak();
    let mut r = Reader::new(octets);
    let result = read(&mut r);
    if result.is_ok() {
        assert!(r.is_empty(), "octets left");
    }
    result
}

fn write(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

#[test]
fn every_encoding_of_a_type_is_read() {
    for octets in ["43", "52 00", "70 00000000"] {
        assert_eq!(read(octets, Reader::read_uint), Ok(0));
    }
    for octets in ["44", "53 00", "80 0000000000000000"] {
        assert_eq!(read(octets, Reader::read_ulong), Ok(0));
    }
    for octets in ["41", "56 01"] {
        assert_eq!(read(octets, Reader::read_bool), Ok(true));
    }
    for octets in ["42", "56 00"] {
        assert_eq!(read(octets, Reader::read_bool), Ok(false));
    }
    for octets in ["54 ff", "71 ffffffff"] {
        assert_eq!(read(octets, Reader::read_int), Ok(-1));
    }
    for octets in ["55 ff", "81 ffffffffffffffff"] {
        assert_eq!(read(octets, Reader::read_long), Ok(-1));
    }
    for octets in ["a1 01 'x'", "b1 00000001 'x'"] {
        assert_eq!(read(octets, |r| String::decode(r)), Ok("x".to_owned()));
    }
    for octets in ["a3 01 'x'", "b3 00000001 'x'"] {
        assert_eq!(read(octets, Symbol::decode), Ok(Symbol::from("x")));
    }
    for octets in ["a0 01 'x'", "b0 00000001 'x'"] {
        assert_eq!(read(octets, Bytes::decode), Ok(Bytes::from_static(b"x")));
    }
    for octets in ["45", "c0 01 00", "d0 00000004 00000000"] {
        assert_eq!(read(octets, |r| Ok(r.read_list()?.remaining())), Ok(0));
    }
    for octets in ["0053 10", "0080 0000000000000010", "00a3 0e 'amqp:open:list'", "00b3 0000000e 'amqp:open:list'"] {
        assert_eq!(read(octets, Reader::read_descriptor_code), Ok(0x10));
    }
}

#[test]
fn the_smallest_encoding_is_written() {
    let uint = |v| write(|out| put_uint(out, v));
    assert_eq!(uint(0), hex("43"));
    assert_eq!(uint(255), hex("52ff"));
    assert_eq!(uint(256), hex("7000000100"));
    let ulong = |v| write(|out| put_ulong(out, v));
    assert_eq!(ulong(0), hex("44"));
    assert_eq!(ulong(255), hex("53ff"));
    assert_eq!(ulong(256), hex("800000000000000100"));
    let int = |v| write(|out| put_int(out, v));
    assert_eq!(int(-128), hex("5480"));
    assert_eq!(int(128), hex("7100000080"));
    let text = |len| write(|out| put_str(out, &"x".repeat(len)));
    assert_eq!(text(255)[..2], hex("a1ff"));
    assert_eq!(text(256)[..5], hex("b100000100"));
}

#[test]
fn lists_grow_to_the_long_form() {
    // One octet for the count, two for the string's header: 252 is the longest that fits.
    let list = |len| write(|out| put_list(out, |list| list.field(&"x".repeat(len))));
    assert_eq!(list(252)[..5], hex("c0ff01 a1fc"));
    assert_eq!(list(253)[..11], hex("d0 00000103 00000001 a1fd"));
    assert_eq!(list(252).len(), 257);
    assert_eq!(list(253).len(), 9 + 255);
    for len in [252, 253, 1000] {
        let octets = list(len);
        let mut fields = Reader::new(&octets).read_list().unwrap();
        assert_eq!(fields.required("text", |r| r.read_str()).unwrap().len(), len);
        assert_eq!(fields.finish(), Ok(()));
    }
}

#[test]
fn trailing_nulls_are_omitted() {
    let octets = write(|out| {
        put_list(out, |list| {
            list.null();
            list.flag(true);
            list.flag(false);
            list.opt_uint(None);
            list.uint(1);
            list.opt::<u64>(None);
            list.symbols(&[]);
        });
    });
    assert_eq!(octets, hex("c0 07 05 40 41 40 40 5201"));
    assert_eq!(write(|out| put_list(out, |list| list.null())), hex("45"));
}

#[test]
fn symbols_in_every_shape() {
    let expected = Ok(vec![Symbol::from("a"), Symbol::from("b")]);
    assert_eq!(read("e0 0c 02 b3 00000001 'a' 00000001 'b'", Reader::read_symbols), expected);
    assert_eq!(read("f0 0000000a 00000002 a3 01 'a' 01 'b' ", Reader::read_symbols), Err(DecodeError::UnexpectedEnd));
    assert_eq!(read("f0 00000009 00000002 a3 01 'a' 01 'b'", Reader::read_symbols), expected);
    assert_eq!(read("c0 07 02 a3 01 'a' a3 01 'b'", Reader::read_symbols), expected);
    assert_eq!(
        read("c0 0a 04 54 05 a3 01 'a' 40 a3 01 'b'", Reader::read_symbols),
        expected,
        "what is no symbol is nothing"
    );
    assert_eq!(read("a3 01 'a'", Reader::read_symbols), Ok(vec![Symbol::from("a")]));
    assert_eq!(read("45", Reader::read_symbols), Ok(vec![]));
    assert_eq!(read("a1 01 'a'", Reader::read_symbols), Ok(vec![Symbol::from("a")]));
    assert_eq!(read("a1 02 c3a9", Reader::read_symbols), Err(DecodeError::InvalidSymbol));
    // Four billion symbols in no octets at all.
    assert_eq!(read("f0 00000005 ffffffff a3", Reader::read_symbols), Err(DecodeError::UnexpectedEnd));

    let both = [Symbol::from("a"), Symbol::from("b")];
    assert_eq!(write(|out| put_symbols(out, &both)), hex("e0 0c 02 b3 00000001 'a' 00000001 'b'"));
    assert_eq!(write(|out| put_symbols(out, &both[..1])), hex("a301 'a'"));
    assert_eq!(write(|out| put_symbols(out, &[])), hex("40"));
}

#[test]
fn violations_have_names() {
    assert_eq!(read("", Reader::read_uint), Err(DecodeError::UnexpectedEnd));
    assert_eq!(read("70 0000", Reader::read_uint), Err(DecodeError::UnexpectedEnd));
    assert_eq!(read("41", Reader::read_uint), Err(DecodeError::TypeMismatch { expected: "uint", found: 0x41 }));
    assert_eq!(read("56 02", Reader::read_bool), Err(DecodeError::InvalidBool(2)));
    assert_eq!(read("a1 01 ff", |r| String::decode(r)), Err(DecodeError::InvalidUtf8));
    assert_eq!(read("a3 01 ff", Symbol::decode), Err(DecodeError::InvalidSymbol));
    assert_eq!(read("b1 ffffffff", |r| String::decode(r)), Err(DecodeError::UnexpectedEnd));
    assert_eq!(read("c0 00", |r| r.read_list().map(drop)), Err(DecodeError::SizeMismatch));
    assert_eq!(read("d0 00000003 000000", |r| r.read_list().map(drop)), Err(DecodeError::SizeMismatch));
    assert_eq!(
        read("c0 02 02 40", |r| r.read_list().map(drop)),
        Err(DecodeError::CountTooLarge { count: 2, octets: 1 })
    );
    assert_eq!(read("c1 02 01 40", |r| r.read_map().map(drop)), Err(DecodeError::OddMapCount(1)));
    assert_eq!(read("00a3 06 'a:list'", Reader::read_descriptor_code), Err(DecodeError::UnknownSymbolicDescriptor));
    assert_eq!(read("0040", |r| r.read_descriptor().map(drop)), Err(DecodeError::InvalidDescriptor(0x40)));
    assert_eq!(read("45", |r| r.read_list()?.required("x", Reader::read_uint)), Err(DecodeError::MissingField("x")));
    assert_eq!(
        read("005328 45", |r| r.read_composite(0x29, "a target").map(drop)),
        Err(DecodeError::UnexpectedDescriptor { expected: "a target", found: 0x28 })
    );
}

#[test]
fn any_value_can_be_skipped() {
    for octets in [
        "40",
        "5001",
        "600001",
        "7000000001",
        "800000000000000001",
        "a002'ab'",
        "c00101",
        "0053 24 45",
        "0000 40 41 45",
    ] {
        assert_eq!(read(octets, Reader::skip_value), Ok(()), "{octets}");
    }
    assert_eq!(read("94 00", Reader::skip_value), Err(DecodeError::UnexpectedEnd));
    assert_eq!(read("10", Reader::skip_value), Err(DecodeError::UnknownFormatCode(0x10)));
    assert_eq!(read("01", Reader::skip_value), Err(DecodeError::UnknownFormatCode(0x01)));
    let raw = hex("0053 24 45 41");
    let mut r = Reader::new(&raw);
    assert_eq!(r.raw_value(), Ok(&raw[..4]));
    assert_eq!(r.position(), 4);
}

#[test]
fn large_binaries_are_shared_and_small_ones_copied() {
    let mut out = BytesMut::new();
    put_binary(&mut out, &[7; 600]);
    put_binary(&mut out, &[7; 6]);
    let input = out.freeze();
    let mut r = Reader::from_bytes(&input);
    let large = Bytes::decode(&mut r).unwrap();
    let small = Bytes::decode(&mut r).unwrap();
    assert!(input.as_ptr_range().contains(&large.as_ptr()));
    assert!(!input.as_ptr_range().contains(&small.as_ptr()));
}
