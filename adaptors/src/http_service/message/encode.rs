//! Heads of messages that go out.

use super::{AGGREGATION, AUTHORITY, Dialect, FLOW_ID, METHOD, PATH, REASON, SCHEME, STATUS, UPGRADE, VERSION};
use amqp_core::codec::format::{self as f, descriptor};
use amqp_core::codec::{self, ListWriter};
use bytes::{BufMut, BytesMut};
use hyper::header::{self, HeaderMap};
use hyper::{StatusCode, Uri};
use router_engine::vanflow::Identity;

const HOST: &str = "Host";

/// Octets that a head usually has.
const HEAD_USUAL: usize = 1024;

/// Where a message goes, and whose it is.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Address<'a> {
    /// The address.
    pub(in super::super) to: &'a str,
    /// Of a request, where the answer goes; none where no answer is wanted.
    pub(in super::super) reply_to: Option<&'a str>,
    /// Of a request its number, of an answer that of its request.
    pub(in super::super) id: Option<u64>,
    /// The site of its service.
    pub(in super::super) site: Option<&'a str>,
    /// The record of the request.
    pub(in super::super) record: Option<Identity>,
    /// The answers of all servers become one.
    pub(in super::super) aggregates: bool,
}

/// The head of a request, which keeps room for `body` octets. `upgrade` is the protocol that is asked for.
pub(in super::super) fn request_head(
    dialect: Dialect,
    address: &Address<'_>,
    request: &http::request::Parts,
    upgrade: Option<&str>,
    body: usize,
) -> BytesMut {
    let mut out = begin(body);
    properties(&mut out, address, request.method.as_str(), address.id, address.id);
    application_properties(&mut out, |fields| {
        fields.flow_id(address.record);
        match dialect {
            Dialect::Http1 => {
                fields.string(VERSION, b"1.1");
                fields.string(PATH, target(&request.uri).as_bytes());
                fields.optional(UPGRADE, upgrade.map(str::as_bytes));
                fields.optional(AGGREGATION, address.aggregates.then_some(b"yes"));
                let host = request.uri.authority().filter(|_| !request.headers.contains_key(header::HOST));
                if let Some(host) = host {
                    fields.symbol(HOST, host.as_str().as_bytes());
                }
                fields.headers(&request.headers, Fields::symbol);
            }
            Dialect::Http2 => {
                fields.string(METHOD, request.method.as_str().as_bytes());
                fields.string(SCHEME, request.uri.scheme_str().unwrap_or("http").as_bytes());
                let host = request.headers.get(header::HOST).map(header::HeaderValue::as_bytes);
                let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
                fields.optional(AUTHORITY, authority.or(host));
                fields.string(PATH, target(&request.uri).as_bytes());
                fields.optional(UPGRADE, upgrade.map(str::as_bytes));
                fields.headers(&request.headers, Fields::string);
            }
        }
    });
    out
}

/// The head of an answer to a request for `path`.
pub(in super::super) fn answer_head(
    dialect: Dialect,
    address: &Address<'_>,
    status: StatusCode,
    path: &str,
    headers: &HeaderMap,
    body: usize,
) -> BytesMut {
    let mut out = begin(body);
    properties(&mut out, address, status.as_str(), None, address.id);
    application_properties(&mut out, |fields| match dialect {
        Dialect::Http1 => {
            fields.string(VERSION, b"1.1");
            fields.optional(REASON, status.canonical_reason().map(str::as_bytes));
            fields.string(PATH, path.as_bytes());
            fields.headers(headers, Fields::symbol);
        }
        Dialect::Http2 => {
            fields.flow_id(address.record);
            fields.string(STATUS, status.as_str().as_bytes());
            fields.headers(headers, Fields::string);
        }
    });
    out
}

/// What a request asks for: of the URI all but scheme and authority, unless there is no more.
fn target(uri: &Uri) -> &str {
    match (uri.path_and_query(), uri.authority()) {
        (None, Some(authority)) => authority.as_str(),
        (Some(path), _) => path.as_str(),
        (None, None) => "/",
    }
}

fn begin(body: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEAD_USUAL + body);
    codec::put_descriptor(&mut out, descriptor::HEADER);
    codec::put_list(&mut out, |list| list.with(|out| codec::put_bool(out, false)));
    out
}

fn properties(out: &mut BytesMut, address: &Address<'_>, subject: &str, id: Option<u64>, correlation: Option<u64>) {
    codec::put_descriptor(out, descriptor::PROPERTIES);
    codec::put_list(out, |list| {
        number(list, id);
        list.null();
        text(list, Some(address.to));
        text(list, Some(subject));
        text(list, address.reply_to);
        number(list, correlation);
        // Content type and encoding, times of expiry and creation.
        (0..4).for_each(|_| list.null());
        text(list, address.site);
    });
}

fn text(list: &mut ListWriter<'_>, text: Option<&str>) {
    match text {
        Some(text) => list.with(|out| codec::put_str(out, text)),
        None => list.null(),
    }
}

fn number(list: &mut ListWriter<'_>, number: Option<u64>) {
    match number {
        Some(number) => list.with(|out| codec::put_ulong(out, number)),
        None => list.null(),
    }
}

/// Writes the entries of the application properties.
struct Fields<'a> {
    out: &'a mut BytesMut,
    /// Keys and values.
    count: u32,
}

fn application_properties(out: &mut BytesMut, write: impl FnOnce(&mut Fields<'_>)) {
    codec::put_descriptor(out, descriptor::APPLICATION_PROPERTIES);
    map(out, write);
}

/// A map32, whatever its size: most heads have more than a map8 holds.
fn map(out: &mut BytesMut, write: impl FnOnce(&mut Fields<'_>)) {
    out.put_u8(f::MAP32);
    let at = out.len();
    out.put_u64(0);
    let mut fields = Fields { out: &mut *out, count: 0 };
    write(&mut fields);
    let count = fields.count;
    let size = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
    out[at + 4..at + 8].copy_from_slice(&count.to_be_bytes());
}

/// A footer with the trailers of a body.
pub(super) fn footer(out: &mut BytesMut, trailers: &HeaderMap) {
    codec::put_descriptor(out, descriptor::FOOTER);
    map(out, |fields| fields.headers(trailers, Fields::string));
}

// === impl Fields ===

impl Fields<'_> {
    fn value(&mut self, value: &[u8]) {
        self.count += 2;
        // A value that is no text is carried as octets.
        match std::str::from_utf8(value) {
            Ok(value) => codec::put_str(self.out, value),
            Err(_) => codec::put_binary(self.out, value),
        }
    }

    /// It is there even if it says nothing: other routers count on that.
    fn flow_id(&mut self, record: Option<Identity>) {
        let id = record.map(|record| record.to_string()).unwrap_or_default();
        self.symbol(FLOW_ID, id.as_bytes());
    }

    fn symbol(&mut self, name: &str, value: &[u8]) {
        codec::put_symbol(self.out, name);
        self.value(value);
    }

    fn string(&mut self, name: &str, value: &[u8]) {
        codec::put_str(self.out, name);
        self.value(value);
    }

    fn optional(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    fn headers(&mut self, headers: &HeaderMap, mut put: impl FnMut(&mut Self, &str, &[u8])) {
        for (name, value) in headers {
            // The one name that routers with the HTTP/1 adaptor look for as it is usually written.
            let name = if name == header::HOST { HOST } else { name.as_str() };
            put(self, name, value.as_bytes());
        }
    }
}
