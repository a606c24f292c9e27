use super::*;
use crate::mesh::path::Peers;

/// Octets written as hex digits and, between quotes, as text.
fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, part) in text.split('\'').enumerate() {
        if i % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part.bytes().filter(u8::is_ascii_hexdigit).collect();
        for pair in digits.chunks(2) {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            out.push(u8::from_str_radix(pair, 16).expect("hex"));
        }
    }
    out
}

fn check(message: &Bytes, capture: &str) {
    assert_eq!(message[..], octets(capture)[..], "\n{message:02x?}");
}

fn check_end(message: &Bytes, capture: &str) {
    let want = octets(capture);
    assert!(message.ends_with(&want), "\n{message:02x?}\n{want:02x?}");
}

#[test]
fn hello_as_captured() {
    let hello = Body::link_state("A.east", 1).number("instance", 1_795_208_499).texts("seen", [].into_iter());
    check(
        &hello.message("amqp:/_local/qdhello", "HELLO"),
        "005370 d0 00000005 00000001 42
         005373 d0 0000001f 00000006 40 40 a1 14 'amqp:/_local/qdhello' 40 40 40
         005374 d1 00000013 00000002 a1 06 'opcode' a1 05 'HELLO'
         005377 d1 00000035 0000000a
           a1 02 'id'       a1 06 'A.east'
           a1 02 'pv'       54 01
           a1 04 'area'     a1 01 '0'
           a1 08 'instance' 71 6b00b533
           a1 04 'seen'     45",
    );
}

#[test]
fn hello_names_whom_it_heard() {
    let hello = Body::link_state("A", 1).texts("seen", ["B", "C"].into_iter());
    check_end(&hello.message("to", "HELLO"), "a1 04 'seen' d0 0000000a 00000002 a1 01 'B' a1 01 'C'");
}

#[test]
fn ra_as_captured() {
    let ra =
        Body::link_state("A.east", 1).number("instance", 1_795_208_499).number("ls_seq", 1).number("mobile_seq", 2);
    check_end(
        &ra.message("amqp:/_topo/0/all/qdrouter", "RA"),
        "005377 d1 00000046 0000000c a1026964a106412e65617374 a10270765401 a10461726561a10130
         a108696e7374616e6365716b00b533 a1066c735f7365715401 a10a6d6f62696c655f7365715402",
    );
}

#[test]
fn lsu_as_captured() {
    let peers = Peers::from([("B.west".to_owned(), 3)]);
    let lsu = Body::link_state("A.east", 1)
        .number("instance", 1_795_208_499)
        .number("ls_seq", 1)
        .link_state_of("ls", "A.east", 1, &peers);
    check_end(
        &lsu.message("amqp:/_topo/0/B.west/qdrouter", "LSU"),
        "005377 d1 0000007e 0000000c a1026964a106412e65617374 a10270765401 a10461726561a10130
         a108696e7374616e6365716b00b533 a1066c735f7365715401
         a1026c73 d1 0000003d 00000008 a1026964a106412e65617374
         a10461726561a10130 a1066c735f7365715401 a1057065657273 d1 0000000e 00000002 a106422e776573745403",
    );
}

#[test]
fn mar_as_captured() {
    let mar = Body::mobile("B.west", 2).number("have_seq", 0);
    check_end(
        &mar.message("amqp:/_topo/0/A.east/qdrouter.ma", "MAR"),
        "005370 d0 00000005 00000001 42
         005373 d0 00000028 00000003 4040 a120 'amqp:/_topo/0/A.east/qdrouter.ma'
         005374 d1 00000011 00000002 a3066f70636f6465 a1034d4152
         005377 d1 0000002b 00000008 a3026964a106422e77657374 a30270765502 a30461726561a10130 a308686176655f7365715500",
    );
}

#[test]
fn mau_as_captured() {
    let address = |key: &str, treatment| Descriptor {
        key: key.to_owned(),
        details: Some((treatment, 0)),
        mesh_id: Some("aQSLeBMrVM2nL1M".to_owned()),
    };
    let mau = Body::mobile("A.east", 2)
        .number("mobile_seq", 3)
        .addresses("add", &[address("Mmc/x", 1), address("Mesvc", 3)])
        .addresses("del", &[]);
    check_end(
        &mau.message("_topo/0/all/qdrouter.ma", "MAU"),
        "005377 d1 00000095 0000000c a3026964a106412e65617374 a30270765502 a30461726561a10130
         a30a6d6f62696c655f7365715503
         a303616464 d0 00000050 00000002
         d0 00000021 00000005 a105 'Mmc/x' 5401 5400 40 a10f 'aQSLeBMrVM2nL1M'
         d0 00000021 00000005 a105 'Mesvc' 5403 5400 40 a10f 'aQSLeBMrVM2nL1M'
         a30364656c d0 00000004 00000000",
    );
}

#[test]
fn short_descriptors() {
    let mut out = BytesMut::new();
    Descriptor { key: "Mesvc".to_owned(), details: None, mesh_id: None }.put(&mut out);
    Descriptor { key: "Msfe.aHofM:0".to_owned(), details: Some((2, 0)), mesh_id: None }.put(&mut out);
    let want = "d0 0000000b 00000001 a105 'Mesvc' d0 00000016 00000003 a10c 'Msfe.aHofM:0' 5402 5400";
    assert_eq!(out[..], octets(want)[..]);
}

#[test]
fn integers() {
    let int = |n| {
        let mut out = BytesMut::new();
        put_int(&mut out, n);
        out.to_vec()
    };
    assert_eq!(int(127), [0x54, 127]);
    assert_eq!(int(-128), [0x54, 0x80]);
    assert_eq!(int(128), [0x71, 0, 0, 0, 128]);
    assert_eq!(int(1 << 31), [0x81, 0, 0, 0, 0, 0x80, 0, 0, 0]);
    let mut out = BytesMut::new();
    put_long(&mut out, 128);
    assert_eq!(out.to_vec(), [0x81, 0, 0, 0, 0, 0, 0, 0, 128]);
}

#[test]
fn long_texts() {
    let id = "x".repeat(300);
    let message = Body::link_state(&id, 1).message("to", "LSR");
    let (opcode, body) = parse(&message).expect("well-formed");
    assert_eq!(opcode, "LSR");
    assert_eq!(body.get("id").and_then(Value::as_str), Some(id.as_str()));
}

#[test]
fn parse_reads_what_is_made_and_skips_annotations() {
    let annotations = octets(
        "0080534b50522d2d5241 d0 00000023 00000004 43 40 a108302f412e65617374 d0 0000000e 00000001 a108302f412e65617374",
    );
    let message = Body::mobile("A", 2).number("have_seq", 5).message("to", "MAR");
    let message = Bytes::from([&annotations[..], &message[..]].concat());
    let (opcode, body) = parse(&message).expect("well-formed");
    assert_eq!(opcode, "MAR");
    assert_eq!(body.get("have_seq").and_then(Value::as_i64), Some(5));
    assert_eq!(parse(&message.slice(..message.len() - 1)), None);
    assert_eq!(parse(&Bytes::new()), None);
}
