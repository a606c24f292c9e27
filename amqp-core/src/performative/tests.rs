//! Tests against frames captured from other routers, and of the trace notation.

use super::*;
use crate::codec::tests::hex;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use bytes::BytesMut;

fn encode(performative: &Performative) -> Bytes {
    let mut out = BytesMut::new();
    performative.encode(&mut out);
    out.freeze()
}

/// Decodes to `expected` and encodes to the same octets again.
fn both_ways(octets: &str, expected: impl Into<Performative>) {
    let (octets, expected) = (hex(octets), expected.into());
    assert_eq!(Performative::decode(&octets), Ok((expected.clone(), octets.len())));
    assert_eq!(encode(&expected), octets);
}

fn symbols<const N: usize>(names: [&'static str; N]) -> Vec<Symbol> {
    names.map(Symbol::from).to_vec()
}

#[test]
fn captured_open() {
    let capabilities =
        "e0 45 03 b3 0000000f 'ANONYMOUS-RELAY' 00000012 'qd.streaming-links' 00000016 'qd.connection_trunking'";
    let octets = format!(
        "005310 d0 00000146 0000000a a106'B.west' a109'127.0.0.1' 7000004000 607fff 7000001f40 4040
         {capabilities} {capabilities} c1 90 0c
         a307'product' a10e'skupper-router' a307'version' a105'3.5.0' a30a'qd.conn-id' 5402
         a314'qd.inter-router-cost' 5402 a313'qd.group-correlator' a10f'e76cM2cAEn3MXf0'
         a316'qd.annotations-version' 5402"
    );
    let capabilities = symbols(["ANONYMOUS-RELAY", "qd.streaming-links", "qd.connection_trunking"]);
    let open = Open {
        container_id: "B.west".into(),
        hostname: Some("127.0.0.1".into()),
        max_frame_size: Some(16384),
        channel_max: Some(32767),
        idle_time_out: Some(8000),
        offered_capabilities: capabilities.clone(),
        desired_capabilities: capabilities,
        properties: Some(
            Map::new()
                .with(Symbol::from("product"), "skupper-router")
                .with(Symbol::from("version"), "3.5.0")
                .with(Symbol::from("qd.conn-id"), 2)
                .with(Symbol::from("qd.inter-router-cost"), 2)
                .with(Symbol::from("qd.group-correlator"), "e76cM2cAEn3MXf0")
                .with(Symbol::from("qd.annotations-version"), 2),
        ),
        ..Open::default()
    };
    assert_eq!(hex(&octets).len(), 0x156 - 8);
    both_ways(&octets, open);
}

#[test]
fn a_single_capability_of_open_is_an_array() {
    let open = Open { offered_capabilities: symbols(["x"]), ..Open::default() };
    both_ways("005310 c0 12 08 a100 40404040 4040 e0 07 01 b3 00000001 'x'", open);
}

#[test]
fn captured_begin() {
    both_ways(
        "005311 c0 12 05 40 43 70 00002000 70 7fffffff 70 7fffffff",
        Begin {
            incoming_window: 8192,
            outgoing_window: i32::MAX as u32,
            handle_max: Some(i32::MAX as u32),
            ..Begin::default()
        },
    );
}

#[test]
fn captured_attach() {
    let detach = Some(Symbol::from("link-detach"));
    let source = Source { expiry_policy: detach.clone(), capabilities: symbols(["qd.router"]), ..Source::default() };
    let target = Target { expiry_policy: detach, capabilities: symbols(["qd.router"]), ..Target::default() };
    let octets = "005312 c0 6d 0b a116'qdlink.Pl9mECU6D93YgXo' 43 41 5002 5000
        005328 c0 22 0b 40 43 a30b'link-detach' 43 42 40 40 40 40 40 a309'qd.router'
        005329 c0 1e 07 40 43 a30b'link-detach' 43 42 40 a309'qd.router'
        40 40 43 44";
    assert_eq!(hex(octets).len(), 0x7a - 8);
    both_ways(
        octets,
        Attach {
            name: "qdlink.Pl9mECU6D93YgXo".into(),
            handle: 0,
            role: Role::Receiver,
            snd_settle_mode: Some(2),
            rcv_settle_mode: Some(0),
            source: Some(Box::new(source)),
            target: Some(Box::new(target)),
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: Some(0),
            max_message_size: Some(0),
            offered_capabilities: vec![],
            desired_capabilities: vec![],
            properties: None,
        },
    );
}

#[test]
fn a_coordinator_reads_as_a_target() {
    let octets = "005330 c0 0d 01 a30a'amqp:local'";
    let target = Target { coordinator: true, capabilities: symbols(["amqp:local"]), ..Target::default() };
    assert_eq!(Target::decode(&mut Reader::new(&hex(octets))), Ok(target.clone()));
    assert_eq!(target.to_bytes(), hex(octets));
}

#[test]
fn captured_transfer_and_disposition() {
    let transfer = Transfer {
        delivery_id: Some(0),
        delivery_tag: Some(DeliveryTag::from_slice(&[0x3d, 0, 0, 0, 0, 0, 0, 0])),
        message_format: Some(0),
        settled: Some(true),
        ..Transfer::default()
    };
    both_ways("005314 c0 0f 05 43 43 a008 3d00000000000000 43 41", transfer);
    both_ways("005314 c0 09 06 43 43 a001 31 43 40 41", {
        let delivery_tag = Some(DeliveryTag::from_slice(b"1"));
        Transfer { delivery_id: Some(0), delivery_tag, message_format: Some(0), more: true, ..Transfer::default() }
    });
    let disposition = Disposition {
        role: Role::Receiver,
        first: 0,
        last: None,
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: false,
    };
    both_ways("005315 c0 09 05 41 43 40 41 005324 45", disposition);
}

#[test]
fn delivery_states() {
    let state = |octets: &str, state: DeliveryState| {
        let octets = format!("005315 c0 {:02x} 05 41 43 40 40 {octets}", 5 + hex(octets).len());
        let state = Some(state);
        both_ways(
            &octets,
            Disposition { role: Role::Receiver, first: 0, last: None, settled: false, state, batchable: false },
        );
    };
    state("005323 c0 05 02 5201 53ff", DeliveryState::Received { section_number: 1, section_offset: 255 });
    state("005325 45", DeliveryState::Rejected(None));
    state("005326 45", DeliveryState::Released);
    state("005325 c0 0d 01 00531d c0 07 02 a301'c' a101'd'", DeliveryState::rejected("c", "d"));
    state("005327 c0 02 01 41", DeliveryState::failed());
    let declared = DeliveryState::Other { descriptor: 0x33, fields: hex("c0 04 01 a001 07") };
    let transactional = DeliveryState::Other { descriptor: 0x34, fields: hex("c0 04 01 a001 07") };
    assert!(declared.is_terminal() && !transactional.is_terminal());
    state("005333 c0 04 01 a001 07", declared);
}

#[test]
fn payload_follows() {
    let octets = hex("005314 c0 02 01 43 'payload'");
    let (transfer, used) = Performative::decode(&octets).unwrap();
    assert_eq!(transfer, Transfer::default().into());
    assert_eq!(&octets[used..], b"payload");
}

#[test]
fn other_encodings_are_accepted() {
    let close = Performative::from(Close::default());
    for octets in
        ["005318 45", "005318 c0 01 00", "0080 0000000000000018 d0 00000004 00000000", "00a30f'amqp:close:list' 45"]
    {
        assert_eq!(Performative::decode(&hex(octets)).unwrap().0, close, "{octets}");
    }
    // Nulls for absent trailing fields, and a field nobody knows.
    let (detach, _) = Performative::decode(&hex("005316 c0 06 04 5201 40 40 5501")).unwrap();
    assert_eq!(detach, Detach { handle: 1, ..Detach::default() }.into());
}

#[test]
fn violations() {
    let error = |octets: &str| Performative::decode(&hex(octets)).unwrap_err();
    assert_eq!(error("005314 45"), DecodeError::MissingField("transfer.handle"));
    assert_eq!(error("005319 45"), DecodeError::UnexpectedDescriptor { expected: "a performative", found: 0x19 });
    assert_eq!(error(&format!("005314 c0 26 03 43 40 a021 {}", "00".repeat(33))), DecodeError::DeliveryTagTooLong(33));
    assert_eq!(error("005314 c0 09 07 43 40404040 40 5002"), DecodeError::IllegalValue("transfer.rcv-settle-mode"));
    assert_eq!(error("005315 c0 03 02 43 43"), DecodeError::TypeMismatch { expected: "boolean", found: 0x43 });
}

#[test]
fn trace_notation() {
    let detach = Detach::closing(9, Some(Error::new("amqp:not-found", "Node not found")));
    assert_eq!(
        Performative::from(detach).to_string(),
        r#"@detach(22) [handle=0x9, closed=true, error=@error(29) [condition=:"amqp:not-found", description="Node not found"]]"#
    );
    let open = Open {
        container_id: "R1".into(),
        max_frame_size: Some(0x4000),
        offered_capabilities: symbols(["ANONYMOUS-RELAY", "qd.streaming-links"]),
        properties: Some(Map::new().with(Symbol::from("product"), "x").with(Symbol::from("qd.conn-id"), 1)),
        ..Open::default()
    };
    assert_eq!(
        Performative::from(open).to_string(),
        concat!(
            r#"@open(16) [container-id="R1", max-frame-size=0x4000, offered-capabilities=@<symbol>[:ANONYMOUS-RELAY, "#,
            r#":"qd.streaming-links"], properties={:product="x", :"qd.conn-id"=1}]"#
        )
    );
    assert_eq!(
        FrameBody(&hex("005314 c0 08 04 5201 43 a00131 43 005370 45")).to_string(),
        r#"@transfer(20) [handle=0x1, delivery-id=0x0, delivery-tag=b"1", message-format=0x0] (4) \x00SpE"#
    );
    assert_eq!(FrameBody(b"").to_string(), "(EMPTY FRAME)");
    assert!(FrameBody(b"\0\x53").to_string().starts_with("(MALFORMED FRAME"));
}

#[test]
fn details_of_outcomes_are_relayed_as_they_came() {
    // A four-octet size where one octet would do.
    let map = hex("d1 0000000c 00000002 a301'k' 7100000001");
    let annotations = RawMap::decode(&mut Reader::from_bytes(&map)).unwrap();
    assert_eq!(annotations.octets(), &map);
    let modified = Modified { message_annotations: Some(annotations.clone()), ..Modified::default() };
    let error = Error { info: Some(annotations), ..Error::bare("c") };
    for state in [DeliveryState::Modified(Arc::new(modified)), DeliveryState::Rejected(Some(Arc::new(error)))] {
        let octets = state.to_bytes();
        assert!(octets.ends_with(&map));
        assert_eq!(DeliveryState::decode(&mut Reader::from_bytes(&octets)), Ok(state));
        let mut damaged = octets.to_vec();
        let at = damaged.len() - 5;
        damaged[at] = 0x3f;
        let damaged = Bytes::from(damaged);
        let result = DeliveryState::decode(&mut Reader::from_bytes(&damaged));
        assert_eq!(result, Err(DecodeError::UnknownFormatCode(0x3f)));
    }
}

#[test]
fn states_fit_the_peers_frames() {
    let len = |state: &DeliveryState| {
        let mut out = BytesMut::new();
        state.encode(&mut out);
        out.len()
    };
    let long = "ä".repeat(5000);
    let info = Some((&Map::new().with(Symbol::from("k"), long.as_str())).into());
    let error = |description: &str, info| {
        let condition = "amqp:not-found".to_owned().into();
        DeliveryState::Rejected(Some(Arc::new(Error { condition, description: Some(description.to_owned()), info })))
    };
    // What fits is left alone, to the last octet.
    let whole = error(&long, info);
    assert_eq!(whole.clone().fit(len(&whole)), Some(whole.clone()));
    for max in [384, 385, 386, 387, 1000] {
        let Some(short) = whole.clone().fit(max) else { panic!("lost") };
        let DeliveryState::Rejected(Some(error)) = &short else { panic!("{short:?}") };
        assert!(len(&short) <= max && len(&short) > max - 20, "{} octets for {max}", len(&short));
        assert!(error.info.is_none() && long.starts_with(error.description.as_deref().unwrap()));
    }
    let condition: Symbol = "x".repeat(1000).into();
    let odd = DeliveryState::Rejected(Some(Arc::new(Error { condition, description: None, info: None })));
    assert_eq!(odd.fit(384), Some(DeliveryState::Rejected(None)));
    let annotations = RawMap::from(&Map::new().with(Symbol::from("k"), long.as_str()));
    let modified = |message_annotations| {
        DeliveryState::Modified(Arc::new(Modified {
            delivery_failed: true,
            undeliverable_here: true,
            message_annotations,
        }))
    };
    assert_eq!(modified(Some(annotations)).fit(384), Some(modified(None)));
    let unknown = DeliveryState::Other { descriptor: 0x34, fields: Bytes::from(vec![0x40; 400]) };
    assert_eq!(unknown.fit(384), None);
}
