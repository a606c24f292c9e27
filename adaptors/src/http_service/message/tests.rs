use super::*;
use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use proptest::prelude::*;
use std::collections::VecDeque;

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn address() -> Address<'static> {
    Address {
        to: "svc",
        reply_to: Some("amqp:/_topo/0/A/temp.x"),
        id: Some(7),
        site: Some("here"),
        ..Address::default()
    }
}

#[test]
fn requests_are_read_back_in_both_forms() {
    let given = parts("POST", "http://h:8/a?b=c", &[("x-many", "1"), ("x-many", "2"), ("content-length", "3")]);
    for dialect in [Dialect::Http1, Dialect::Http2] {
        let octets = request_head(dialect, &address(), &given, Some("websocket"), 0).freeze();
        let Decoded { head, len } = request(std::slice::from_ref(&octets), true).expect("valid").expect("complete");
        assert_eq!((len, head.dialect, &head.method), (octets.len(), dialect, &Method::POST));
        assert_eq!((head.path.as_str(), head.id), ("/a?b=c", Some(7)));
        assert_eq!(head.reply_to.as_deref(), Some("amqp:/_topo/0/A/temp.x"));
        assert_eq!(head.upgrade.as_deref(), Some("websocket"));
        let many: Vec<_> = head.headers.get_all("x-many").iter().collect();
        assert_eq!(many, ["1", "2"]);
        let host = head.headers.get("host").and_then(|host| host.to_str().ok()).or(head.authority.as_deref());
        assert_eq!(host, Some("h:8"), "{dialect:?}");
    }
}

#[test]
fn answers_are_read_back_in_both_forms() {
    let mut headers = HeaderMap::new();
    headers.insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").expect("legal"));
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    for dialect in [Dialect::Http1, Dialect::Http2] {
        let octets = answer_head(dialect, &address(), StatusCode::IM_A_TEAPOT, "/a", &headers, 0).freeze();
        let Decoded { head, len } = answer(std::slice::from_ref(&octets), true).expect("valid").expect("complete");
        assert_eq!((len, head.status, head.id), (octets.len(), StatusCode::IM_A_TEAPOT, Some(7)));
        assert_eq!(head.headers, headers);
    }
}

#[test]
fn a_head_may_come_octet_by_octet_and_ends_before_the_body() {
    let octets = request_head(Dialect::Http1, &address(), &parts("GET", "/", &[("host", "h")]), None, 0).freeze();
    for end in 0..octets.len() {
        assert!(request(&[octets.slice(..end)], false).expect("valid so far").is_none(), "{end}");
        assert!(request(&[octets.slice(..end)], true).is_err(), "{end}");
    }
    assert!(request(&[octets], false).expect("valid").is_some(), "no body is needed to know");
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let of = |method: &str, uri, headers: &[_]| {
        request_head(Dialect::Http2, &address(), &parts(method, uri, headers), None, 0)
    };
    let good = of("GET", "/", &[]);
    assert!(request(&[good.clone().freeze()], true).is_ok());
    let broken = |from: &[u8], to: &[u8]| {
        let mut octets = good.clone();
        let at = octets.windows(from.len()).position(|part| part == from).expect("there");
        octets[at..at + to.len()].copy_from_slice(to);
        request(&[octets.freeze()], true).expect_err("refused")
    };
    assert_eq!(broken(b":path", b":pish"), MessageError::Missing("path"));
    assert_eq!(broken(b"\xa1\x03GET", b"\xa1\x03G T"), MessageError::Bad("method"));
    let many = vec![("x", "y"); decode::FIELDS_MAX];
    assert_eq!(request(&[of("GET", "/", &many).freeze()], true).expect_err("refused"), MessageError::TooManyFields);
    let long = "x".repeat(HEAD_MAX);
    let large = of("GET", "/", &[("x", &long)]).freeze();
    assert_eq!(request(std::slice::from_ref(&large), true).expect_err("refused"), MessageError::TooLarge);
    assert_eq!(request(&[large.slice(..HEAD_MAX + 1)], false).expect_err("refused"), MessageError::TooLarge);
}

#[test]
fn what_concerns_one_connection_is_taken_out() {
    let mut headers = parts(
        "GET",
        "/",
        &[
            ("connection", "close, X-Gone, host"),
            ("x-gone", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip, trailers"),
            ("host", "h"),
            ("x-stays", "1"),
        ],
    )
    .headers;
    strip_hop_by_hop(&mut headers);
    let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    left.sort_unstable();
    assert_eq!(left, [("host", &b"h"[..]), ("te", b"trailers"), ("x-stays", b"1")]);
}

/// All parts of a body that comes in such pieces.
fn read_all(
    mut reader: BodyReader,
    octets: &Bytes,
    cuts: &[usize],
) -> Result<(Vec<u8>, Option<HeaderMap>), MessageError> {
    let (mut chunks, mut data, mut trailers) = (VecDeque::new(), Vec::new(), None);
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (octets.len() + 1)).collect();
    cuts.push(octets.len());
    cuts.sort_unstable();
    let mut from = 0;
    for (at, cut) in cuts.iter().enumerate() {
        chunks.push_back(octets.slice(from..*cut));
        from = *cut;
        let complete = at + 1 == cuts.len();
        while let Some(part) = reader.next(&mut chunks, complete)? {
            match part {
                Part::Data(octets) => data.extend_from_slice(&octets),
                Part::Trailers(map) => trailers = Some(map),
            }
        }
    }
    Ok((data, trailers))
}

fn chunked_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    headers
}

/// A body in pieces, as a message has it.
fn written(form: BodyForm, pieces: &[Vec<u8>], trailers: Option<&HeaderMap>) -> Bytes {
    let mut octets = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        form.data(Bytes::copy_from_slice(piece)).iter().for_each(|chunk| octets.extend_from_slice(chunk));
    }
    form.end(trailers, !pieces.concat().is_empty(), true).iter().for_each(|end| octets.extend_from_slice(end));
    octets.into()
}

#[test]
fn the_head_tells_how_long_a_body_is() {
    let of = |dialect, given: &[(&str, &str)], known| {
        let mut headers = parts("POST", "/", given).headers;
        let form = BodyForm::of(dialect, &mut headers, known);
        let text = |name| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        (form, text("content-length"), text("transfer-encoding"))
    };
    let bare = BodyForm::Bare(Dialect::Http1);
    assert_eq!(of(Dialect::Http1, &[("content-length", "3")], None), (bare, Some("3".into()), None));
    assert_eq!(of(Dialect::Http1, &[], Some(3)), (bare, Some("3".into()), None));
    assert_eq!(of(Dialect::Http1, &[], Some(0)), (bare, None, None));
    assert_eq!(of(Dialect::Http1, &[], None), (BodyForm::Chunked, None, Some("chunked".into())));
    assert_eq!(of(Dialect::Http2, &[], None), (BodyForm::Bare(Dialect::Http2), None, None));
}

/// Routers that have had the HTTP/2 adaptor die of a footer without data before it.
#[test]
fn a_footer_comes_after_data_or_to_those_who_can_take_it() {
    let form = BodyForm::Bare(Dialect::Http2);
    let mut trailers = HeaderMap::new();
    trailers.insert("x", HeaderValue::from_static("y"));
    for (any, own, there) in [(false, false, false), (false, true, true), (true, false, true)] {
        assert_eq!(form.end(Some(&trailers), any, own).is_some(), there);
        let mut out = bytes::BytesMut::new();
        let data: &[Bytes] = if any { &[Bytes::from_static(b"z")] } else { &[] };
        form.put_whole(&mut out, data, Some(&trailers), own);
        let read = read_all(BodyReader::new(Dialect::Http2, &HeaderMap::new()), &out.freeze(), &[]).expect("valid");
        assert_eq!(read.1.is_some(), there);
    }
}

proptest! {
    #[test]
    fn bodies_are_read_back_whatever_pieces_they_come_in(
        sections in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        with_trailers in any::<bool>(),
        whole in any::<bool>(),
        form in prop_oneof![Just(BodyForm::Chunked), Just(BodyForm::Bare(Dialect::Http1)), Just(BodyForm::Bare(Dialect::Http2))],
    ) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let trailers = with_trailers.then_some(trailers);
        let octets = if whole {
            let mut out = bytes::BytesMut::new();
            let data: Vec<_> = sections.iter().cloned().map(Bytes::from).collect();
            form.put_whole(&mut out, &data, trailers.as_ref(), true);
            out.freeze()
        } else {
            written(form, &sections, trailers.as_ref())
        };
        let headers = if form == BodyForm::Chunked { chunked_headers() } else { HeaderMap::new() };
        let read = read_all(BodyReader::new(Dialect::Http1, &headers), &octets, &cuts).expect("valid");
        prop_assert_eq!(read, (sections.concat(), trailers));
    }

    #[test]
    fn rubbish_is_refused_or_read_and_never_panics(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        fuzzing::run(&octets);
        let octets = octets.into();
        let _ = read_all(BodyReader::new(Dialect::Http1, &chunked_headers()), &octets, &cuts);
        let _ = read_all(BodyReader::default(), &octets, &cuts);
    }
}

#[test]
fn a_body_that_ends_within_a_section_or_a_chunk_is_an_error() {
    for (form, headers) in [(BodyForm::Bare(Dialect::Http1), HeaderMap::new()), (BodyForm::Chunked, chunked_headers())]
    {
        let octets = written(form, &[b"hello".to_vec()], None);
        for end in 1..octets.len() {
            let read = read_all(BodyReader::new(Dialect::Http1, &headers), &octets.slice(..end), &[]);
            assert!(read.is_err(), "{form:?} {end}");
        }
    }
}

#[test]
fn sections_that_are_no_body_are_left_out_but_not_without_end() {
    let null = [0x00, 0x53, 0x77, 0x40];
    let data = written(BodyForm::Bare(Dialect::Http1), &[b"hello".to_vec()], None);
    let read = |count: usize| {
        let octets = [null.repeat(count), data.to_vec()].concat();
        let cuts: Vec<_> = (0..octets.len()).collect();
        read_all(BodyReader::default(), &octets.into(), &cuts)
    };
    assert_eq!(read(16).expect("few").0, b"hello");
    assert!(read(17).is_err());
}

#[test]
fn chunks_of_others_are_taken_apart() {
    let read = |text: &'static [u8]| {
        let form = BodyForm::Bare(Dialect::Http1);
        let octets: Vec<u8> = form.data(Bytes::from_static(text)).concat();
        read_all(BodyReader::new(Dialect::Http1, &chunked_headers()), &octets.into(), &[])
    };
    let (data, trailers) = read(b"5;x=\"y\"\r\nhello\r\n0a\r\n0123456789\r\n0\r\nx-t: v\r\n\r\n").expect("valid");
    assert_eq!((data.as_slice(), trailers.expect("there").len()), (&b"hello0123456789"[..], 1));
    for bad in
        [&b"5\r\nhello!\r\n0\r\n\r\n"[..], b"-1\r\n", b"\r\n", b"fffffffffffffffff\r\n", b"0\r\nno field\r\n\r\n"]
    {
        assert!(read(bad).is_err(), "{}", bad.escape_ascii());
    }
}
