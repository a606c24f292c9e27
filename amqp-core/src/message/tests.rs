//! Tests against messages captured from other routers.

use super::*;
use crate::codec::tests::hex;
use crate::codec::{Encode, Reader};
use crate::value::{Map, Symbol, Value};
use bytes::{Bytes, BytesMut};

const SECTION: &str = "0080 534b50522d2d5241";
const OWN: &[u8] = b"0/A.east";

/// A message to `svc` with priority 7, as one router has sent it to another.
fn routed() -> Bytes {
    hex(&format!(
        "{SECTION} d0 00000027 00000004 43 a103'svc' a108'0/A.east' d0 0000000e 00000001 a108'0/A.east'
         005370 c0 04 02 40 5007 005373 c0 08 03 40 40 a103'svc' 005377 a102'p7'"
    ))
}

/// All the sections that there are.
fn full() -> Bytes {
    hex(&format!(
        "{SECTION} d0 00000008 00000004 43 40 40 45
         005370 45 005371 c1 01 00 005372 c1 01 00 005373 45 0080 0000000000000074 c1 01 00
         005375 a001 'x' 005375 b0 00000001 'y' 005378 c1 01 00"
    ))
}

fn annotations(message: &Bytes) -> Result<RouterAnnotations, AnnotationError> {
    let chunks = [message.clone()];
    match scan(&chunks, true, Depth::RouterAnnotations) {
        ScanResult::Ok(map) => RouterAnnotations::parse(&map.router_annotations.unwrap().value(&chunks)),
        other => panic!("{other:?}"),
    }
}

fn encode(annotations: &RouterAnnotations, own: Option<&[u8]>) -> Bytes {
    let mut out = BytesMut::new();
    annotations.encode(own, &mut out);
    out.freeze()
}

#[test]
fn captured_annotations_both_ways() {
    let hello =
        hex(&format!("{SECTION} d0 00000023 00000004 43 40 a108'0/A.east' d0 0000000e 00000001 a108'0/A.east'"));
    assert_eq!(encode(&RouterAnnotations::default(), Some(OWN)), hello);
    let parsed = annotations(&hello).unwrap();
    assert_eq!(parsed.ingress.as_deref(), Some(OWN));
    assert_eq!(parsed.trace.iter().collect::<Vec<_>>(), [OWN]);
    assert_eq!(encode(&parsed, None), hello);

    let edge = hex(&format!("{SECTION} d0 00000019 00000005 43 40 40 45 a10f'VybvO42Y5D5P4XU'"));
    let parsed = annotations(&edge).unwrap();
    assert_eq!(parsed.ingress_mesh.as_deref(), Some(&b"VybvO42Y5D5P4XU"[..]));
    assert!(parsed.trace.is_empty());
    assert_eq!(encode(&parsed, None), edge);

    let parsed = annotations(&routed()).unwrap();
    assert_eq!(parsed.to_override.as_deref(), Some(&b"svc"[..]));
    assert!(routed().starts_with(&encode(&parsed, None)));
}

#[test]
fn the_trace_grows_and_the_ingress_stays() {
    let first = annotations(&encode(&RouterAnnotations { flags: 0x1005, ..Default::default() }, Some(OWN))).unwrap();
    let second = annotations(&encode(&first, Some(b"0/B.west"))).unwrap();
    assert_eq!(second.flags, 0x1005);
    assert_eq!(second.ingress.as_deref(), Some(OWN));
    assert_eq!(second.trace.count(), 2);
    assert_eq!(second.trace, [OWN, b"0/B.west"].into_iter().collect());
    let mut out = BytesMut::new();
    second.encode_without_path(&mut out);
    let third = annotations(&out.freeze()).unwrap();
    assert_eq!(third, RouterAnnotations { flags: 0x1005, ..Default::default() });
}

#[test]
fn annotation_errors_have_fixed_texts() {
    use AnnotationError as E;
    let cases = [
        ("c1 01 00", E::NotAList, "Invalid router annotations section: non-list type"),
        ("45", E::WrongListCount, "Invalid router annotations section: wrong list count"),
        ("c0 04 03 43 40 40", E::WrongListCount, "Invalid router annotations section: wrong list count"),
        ("c0 05 04 43 43 40 45", E::ToOverride, "Invalid router to-override annotation: wrong type"),
        ("c0 07 04 43 a301'x' 40 45", E::ToOverride, "Invalid router to-override annotation: wrong type"),
        ("c0 05 04 43 40 41 45", E::Ingress, "Invalid router ingress annotation: wrong type"),
        ("c0 05 04 43 40 40 40", E::TraceNotAList, "Invalid router trace annotation: not a list"),
        (
            "c0 08 04 43 40 40 c0 02 01 40",
            E::TraceEntry,
            "Invalid router trace annotation: list contains non-string entries",
        ),
        ("c0 06 05 43 40 40 45 40", E::IngressMesh, "Invalid ingress-mesh annotation: wrong type"),
        ("c0 08 05 43 40 40 45 a101'x'", E::IngressMesh, "Invalid ingress-mesh annotation: wrong type"),
    ];
    for (octets, error, text) in cases {
        assert_eq!(RouterAnnotations::parse(&hex(octets)), Err(error), "{octets}");
        assert_eq!(error.to_string(), text);
    }
    // Elements behind the known ones do not matter.
    let mesh = "a10f'VybvO42Y5D5P4XU'";
    assert!(RouterAnnotations::parse(&hex(&format!("c0 17 06 43 40 40 45 {mesh} 40"))).is_ok());
}

#[test]
fn sections_are_found_however_the_message_is_cut() {
    for message in [routed(), full()] {
        let whole = scan(std::slice::from_ref(&message), true, Depth::All);
        assert!(matches!(whole, ScanResult::Ok(_)));
        for first in 0..=message.len() {
            for second in [first, (first + 1).min(message.len()), (first + 7).min(message.len())] {
                let chunks = [message.slice(..first), message.slice(first..second), message.slice(second..)];
                assert_eq!(scan(&chunks, true, Depth::All), whole, "cut at {first}, {second}");
            }
        }
        let single: Vec<Bytes> = (0..message.len()).map(|i| message.slice(i..=i)).collect();
        assert_eq!(scan(&single, true, Depth::All), whole);
        let ScanResult::Ok(map) = whole else { unreachable!() };
        let header = map.header.unwrap();
        assert_eq!(header.octets(&single), message.slice(header.start..header.end));
    }
}

#[test]
fn what_is_incomplete_is_not_looked_at_before_it_can_be_complete() {
    let message = Bytes::from([&hex("005370 45 005373 d0 0000012c 00000000")[..], &[0; 296]].concat());
    let mut scanner = SectionScanner::default();
    let mut chunks = vec![message.slice(..20)];
    assert_eq!(scanner.scan(&chunks, false, Depth::Properties), ScanResult::Incomplete);
    // Octets that would be found to be wrong.
    chunks[0] = Bytes::from(vec![0xff; 20]);
    for at in 20..message.len() - 1 {
        chunks.push(message.slice(at..=at));
        assert_eq!(scanner.scan(&chunks, false, Depth::Properties), ScanResult::Incomplete, "{at}");
    }
    // A scan that need not go so far is not held up.
    let ScanResult::Ok(map) = scanner.scan(&chunks, false, Depth::Header) else { panic!() };
    assert!(map.header.is_some());
    chunks[0] = message.slice(..20);
    chunks.push(message.slice(message.len() - 1..));
    assert_eq!(scanner.scan(&chunks, false, Depth::Properties), scan(&chunks, true, Depth::Properties));
}

#[test]
fn a_scan_goes_on_where_it_stopped() {
    let message = full();
    let depths =
        [Depth::RouterAnnotations, Depth::Header, Depth::Properties, Depth::ApplicationProperties, Depth::Body];
    for depth in depths {
        let expected = scan(std::slice::from_ref(&message), true, depth);
        let mut scanner = SectionScanner::default();
        let mut chunks = Vec::new();
        let mut result = scanner.scan(&chunks, false, depth);
        for index in 0..message.len() {
            assert_eq!(result, ScanResult::Incomplete);
            chunks.push(message.slice(index..=index));
            result = scanner.scan(&chunks, false, depth);
            if result != ScanResult::Incomplete {
                break;
            }
        }
        assert_eq!(result, expected, "{depth:?}");
        // The same scanner can be asked to go deeper.
        let deepest = scanner.scan(std::slice::from_ref(&message), true, Depth::All);
        assert_eq!(deepest, scan(std::slice::from_ref(&message), true, Depth::All));
    }
}

#[test]
fn section_map() {
    let message = full();
    let ScanResult::Ok(map) = scan(std::slice::from_ref(&message), true, Depth::All) else { panic!() };
    assert_eq!(map.router_annotations.unwrap().start, 0);
    assert_eq!(map.body, Some((56, BodyKind::Data)));
    assert_eq!(map.footer.unwrap().end, message.len());
    for section in [map.delivery_annotations, map.message_annotations, map.properties, map.application_properties] {
        assert!(section.is_some());
    }
    let ScanResult::Ok(map) = scan(std::slice::from_ref(&message), true, Depth::Header) else { panic!() };
    assert!(map.header.is_some() && map.delivery_annotations.is_none());
}

#[test]
fn malformed_messages() {
    use SectionError as E;
    let invalid = |octets: &str, depth, error| {
        assert_eq!(scan(&[hex(octets)], true, depth), ScanResult::Invalid(error), "{octets}");
    };
    invalid("", Depth::RouterAnnotations, E::Empty);
    invalid("00", Depth::RouterAnnotations, E::Truncated);
    invalid("005373 c0 08 03", Depth::Properties, E::Truncated);
    invalid("005370 45 005370 45", Depth::Properties, E::Duplicate(0x70));
    invalid("005373 45 005370 45", Depth::ApplicationProperties, E::OutOfOrder(0x70));
    invalid("005370 c1 01 00", Depth::Header, E::WrongType { section: 0x70, found: 0xc1 });
    invalid("005374 45", Depth::Body, E::WrongType { section: 0x74, found: 0x45 });
    let ra = 0x534b_5052_2d2d_5241;
    invalid(&format!("{SECTION} 40"), Depth::RouterAnnotations, E::WrongType { section: ra, found: 0x40 });
    invalid("005377 40 005377 40", Depth::All, E::Duplicate(0x77));
    invalid("005377 10", Depth::All, E::WrongType { section: 0x77, found: 0x10 });
}

#[test]
fn unknown_content_is_opaque() {
    for octets in ["'GET /'", "005399 45", "00a3 01'x' 40", "00 40"] {
        let result = scan(&[hex(octets)], false, Depth::Properties);
        assert_eq!(result, ScanResult::Ok(SectionMap::default()), "{octets}");
    }
    // A malformed section behind the depth asked for is none of our business.
    assert!(matches!(scan(&[hex("005370 41")], true, Depth::RouterAnnotations), ScanResult::Ok(_)));
    // The end of the message is enough.
    assert!(matches!(scan(&[hex("005370 45")], true, Depth::Body), ScanResult::Ok(_)));
    assert_eq!(scan(&[hex("005370 45")], false, Depth::Body), ScanResult::Incomplete);
}

#[test]
fn header_lookups() {
    let cases = [
        ("45", 4, false),
        ("c0 02 01 41", 4, true),
        ("c0 04 02 40 5007", 7, false),
        ("c0 04 02 42 5207", 7, false),
        ("c0 05 02 41 50ff 40", 9, true),
        ("c0 0b 02 41 80 0000000000000009", 9, true),
        ("c0 03 02 41 40", 4, true),
        ("c0 04 02 41 5407", 4, true),
        ("c1 01 00", 4, false),
        ("", 4, false),
    ];
    for (octets, priority, durable) in cases {
        let octets = hex(octets);
        assert_eq!((header::priority(&octets), header::durable(&octets)), (priority, durable), "{octets:x?}");
    }
}

#[test]
fn properties_lookups() {
    let properties = Properties {
        message_id: 7_u64.into(),
        user_id: Some(Bytes::from_static(b"user")),
        to: Some("svc".into()),
        reply_to: Some("reply".into()),
        content_type: "application/octet-stream".into(),
        creation_time: Some(1),
        reply_to_group_id: Some("last".into()),
        ..Properties::default()
    };
    let section = properties.to_bytes();
    let view = PropertiesView::new(&section[3..]);
    assert_eq!(view.to(), Some("svc"));
    assert_eq!(view.reply_to(), Some("reply"));
    assert_eq!(view.subject(), None);
    assert_eq!(view.content_type(), Some("application/octet-stream"));
    assert_eq!(view.user_id(), Ok(Some(&b"user"[..])));
    assert_eq!(view.get(PropertyField::MessageId), Some(Value::Ulong(7)));
    assert_eq!(view.get(PropertyField::CreationTime), Some(Value::Timestamp(1)));
    assert_eq!(view.text(PropertyField::ReplyToGroupId), Some("last"));
    assert_eq!(view.raw(PropertyField::CorrelationId), None);
    assert_eq!(<Properties as crate::codec::Decode>::decode(&mut Reader::new(&section[3..])), Ok(properties));
    assert_eq!(PropertiesView::new(b"").to(), None);
}

#[test]
fn app_property_lookups() {
    let section = Map::new().with("opcode", "HELLO").with(Symbol::from("n"), 5).to_bytes();
    assert_eq!(app_properties::text(&section, "opcode"), Some("HELLO"));
    assert_eq!(app_properties::get(&section, "n"), Some(Value::Int(5)));
    assert_eq!(app_properties::raw(&section, "x"), None);
    assert_eq!(app_properties::decode(&section).unwrap().len(), 2);
}

/// The captured hello has the same content; only its lists are in the long form.
#[test]
fn messages_are_composed_and_read() {
    let body = Map::new().with("id", "A.east").with("pv", 1).with("seen", Vec::<Value>::new());
    let message = MessageBuilder::new()
        .router_annotations(&RouterAnnotations::default(), Some(OWN))
        .header(&Header::default())
        .properties(&Properties { to: Some("amqp:/_local/qdhello".into()), ..Properties::default() })
        .application_properties(&Map::new().with("opcode", "HELLO"))
        .value(body.clone());
    let halves = [message.slice(..70), message.slice(70..)];
    let read = Message::decode(&halves).unwrap();
    assert_eq!(read.header, Some(Header::default()));
    assert_eq!(read.properties.to.as_deref(), Some("amqp:/_local/qdhello"));
    assert_eq!(read.application_properties.get("opcode").and_then(Value::as_str), Some("HELLO"));
    assert_eq!(read.body.as_value().and_then(Value::as_map), Some(&body));

    let captured = hex(&format!(
        "{SECTION} d0 00000023 00000004 43 40 a108'0/A.east' d0 0000000e 00000001 a108'0/A.east'
         005370 d0 00000005 00000001 42 005373 d0 0000001f 00000006 40 40 a114'amqp:/_local/qdhello' 40 40 40
         005374 d1 00000013 00000002 a106'opcode' a105'HELLO'
         005377 d1 0000001d 00000006 a102'id' a106'A.east' a102'pv' 5401 a104'seen' 45"
    ));
    assert_eq!(Message::decode(&[captured]), Ok(read));
}

#[test]
fn bodies() {
    let data = MessageBuilder::new().data(b"octets");
    assert_eq!(Message::decode(&[data]).unwrap().body, Body::Data(Bytes::from_static(b"octets")));
    assert_eq!(Message::decode(&[full()]).unwrap().body, Body::Data(Bytes::from_static(b"xy")));
    let sequence = hex("005376 c0 02 01 41 005376 45 005376 c0 02 01 42");
    assert_eq!(Message::decode(&[sequence]).unwrap().body, Body::Sequence(vec![true.into(), false.into()]));
    let none = MessageBuilder::new().header(&Header::default()).without_body();
    assert_eq!(Message::decode(&[none]).unwrap().body, Body::Empty);
    let described = MessageBuilder::new().value(Value::described(1, Value::described(2, 3.into())));
    assert!(matches!(Message::decode(&[described]).unwrap().body, Body::Value(Value::Described(_))));
    assert_eq!(Message::decode(&[]), Err(MessageError::Section(SectionError::Empty)));
}

#[test]
fn router_annotations_may_be_an_empty_list_but_say_nothing_then() {
    let message = hex(&format!("{SECTION} 45 005377 40"));
    let ScanResult::Ok(map) = scan(std::slice::from_ref(&message), true, Depth::RouterAnnotations) else { panic!() };
    let section = map.router_annotations.expect("found");
    assert_eq!(RouterAnnotations::parse(&section.value(&[message])), Err(AnnotationError::WrongListCount));
}
