//! Header blocks, and what is decoded of them.

use super::{Decoder, Error, Name};
use httlib_hpack::Encoder;
use proptest::collection::vec;
use proptest::prelude::*;

type Fields = Vec<(Name, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
    let mut fields = Fields::new();
    let decoded = decoder.decode(block, |field| fields.push((field.name, field.value.to_vec())));
    decoder.check();
    decoded.map(|()| fields)
}

fn field(name: Name, value: &str) -> (Name, Vec<u8>) {
    (name, value.as_bytes().to_vec())
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// RFC 7541 appendix C.4: requests with Huffman codes, and the sizes of the table after each.
#[test]
fn requests_of_the_standard() {
    let blocks = [
        ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", 4, 57),
        ("8286 84be 5886 a8eb 1064 9cbf", 5, 110),
        ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", 5, 164),
    ];
    let mut decoder = Decoder::new();
    for (block, fields, size) in blocks {
        let decoded = decode(&mut decoder, &hex(block)).unwrap();
        assert_eq!((decoded.len(), decoder.table.size()), (fields, size));
        assert_eq!(decoded[0], field(Name::Method, "GET"));
    }
}

/// RFC 7541 appendices C.5 and C.6: answers, plain and with Huffman codes, whose fields do not fit a table of 256 octets.
#[test]
fn answers_of_the_standard() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
         2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, &hex("3fe1 01")), Ok(vec![]));
        for (block, status, fields, size) in
            [(blocks[0], "302", 4, 222), (blocks[1], "307", 4, 222), (blocks[2], "200", 6, 215)]
        {
            let decoded = decode(&mut decoder, &hex(block)).unwrap();
            assert_eq!((decoded.len(), decoder.table.size()), (fields, size));
            assert_eq!(decoded[0], field(Name::Status, status));
        }
    }
}

#[test]
fn broken_blocks() {
    let cases = [
        ("80", Error::Index),
        ("be", Error::Index),
        ("7e 00", Error::Index),
        ("ff ffffffff7f", Error::Integer),
        ("ff", Error::Truncated),
        ("40 03 6162", Error::Truncated),
        ("40 01 61", Error::Truncated),
        ("40", Error::Truncated),
        ("00 81 00 00", Error::Huffman),
        ("40 01 61 81 00", Error::Huffman),
        ("3f e2 1f", Error::Size),
        ("82 20", Error::Size),
    ];
    for (block, error) in cases {
        assert_eq!(decode(&mut Decoder::new(), &hex(block)), Err(error), "{block}");
    }
}

#[test]
fn sizes_of_tables() {
    let mut decoder = Decoder::new();
    // x-forwarded-for: a, which is then at index 62.
    let added = [&b"\x40\x0fx-forwarded-for\x01a"[..], b"\xbe"].concat();
    assert_eq!(decode(&mut decoder, &added), Ok(vec![field(Name::ForwardedFor, "a"); 2]));
    assert_eq!(decode(&mut decoder, b"\x7e\x01b\xbe\xbf"), {
        Ok(["b", "b", "a"].map(|value| field(Name::ForwardedFor, value)).to_vec())
    });
    assert_eq!(decoder.table.size(), 2 * 48);
    // Room for one of them.
    assert_eq!(decode(&mut decoder, &hex("3f 20 be")), Ok(vec![field(Name::ForwardedFor, "b")]));
    assert_eq!(decode(&mut decoder, &hex("bf")), Err(Error::Index));
    // None, and back again. The last one may be larger than was offered at first.
    assert_eq!(decode(&mut decoder, &hex("20 3f e1 1f be")), Err(Error::Index));
    assert_eq!(decode(&mut decoder, &hex("3f e1 ff 03")), Err(Error::Size));
    decoder.offer(u32::MAX);
    assert_eq!(decode(&mut decoder, &hex("3f e1 ff 03")), Ok(vec![]), "65,536");
    assert_eq!(decode(&mut decoder, &hex("3f e2 ff 03")), Err(Error::Size));
    decoder.offer(0);
    assert_eq!(decode(&mut decoder, &hex("3f e1 ff 03")), Ok(vec![]));
}

#[test]
fn a_field_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, b"\x40\x01a\x01b").unwrap();
    let large = [&b"\x40\x01a\x7f\xa1\x1f"[..], &[b'x'; 127 + 33 + 31 * 128]].concat();
    assert_eq!(decode(&mut decoder, &large).map(|fields| fields.len()), Ok(1));
    assert_eq!(decoder.table.size(), 0);
}

/// A field as an encoder is told of it, and how it shall encode it.
fn any_field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, u8)> {
    const NAMES: &[&str] =
        &[":method", ":status", "x-forwarded-for", ":path", "content-type", "x-other", "grpc-status"];
    let name = prop_oneof![proptest::sample::select(NAMES).prop_map(str::to_owned), "[a-z-]{1,400}"];
    let value = prop_oneof!["[0-9A-Za-z,. ]{0,20}", "\\PC{0,200}"];
    let how = (0..4_u8, prop_oneof![Just(Encoder::WITH_INDEXING), Just(Encoder::NEVER_INDEXED), Just(0)]);
    let huffman = Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE;
    (name, value, how).prop_map(move |(name, value, (coding, indexing))| {
        (name.into_bytes(), value.into_bytes(), coding & huffman | indexing | Encoder::BEST_FORMAT)
    })
}

/// What an observer makes of a field.
fn observed((name, value, _): &(Vec<u8>, Vec<u8>, u8)) -> (Name, Vec<u8>) {
    let name = Name::from(&name[..]);
    let kept = if name == Name::Other { 0 } else { value.len().min(300) };
    (name, value[..kept].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fields_of_another_encoder(blocks in vec(vec(any_field(), 0..10), 1..8)) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new());
        for fields in blocks {
            let mut block = Vec::new();
            for field in &fields {
                encoder.encode(field.clone(), &mut block).unwrap();
            }
            let expected: Fields = fields.iter().map(observed).collect();
            prop_assert_eq!(decode(&mut decoder, &block), Ok(expected));
        }
    }

    #[test]
    fn any_blocks(blocks in vec(vec(any::<u8>(), 0..40), 0..8)) {
        let mut decoder = Decoder::new();
        for block in blocks {
            let _ = decode(&mut decoder, &block);
        }
    }
}
