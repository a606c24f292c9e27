//! RFC 7541, section 6 and appendix C: fields in every form that there is.

use interop_tests::raw_http::Record;
use interop_tests::raw_http::frame::flag::*;
use interop_tests::raw_http::hpack::{
    INDEXED, NEVER_INDEXED, PLAIN, huffman, indexed, literal, named, resized, string,
};
use interop_tests::raw_http::http2::Client;

use super::{Case, answered, run_cases};

crate::tables! { run_cases;
    literals;
    pseudo_fields;
    tables;
}

/// RFC 7541, C.4.2 and C.4.3.
const NO_CACHE: &[u8] = &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
const CUSTOM_KEY: &[u8] = &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
const CUSTOM_VALUE: &[u8] = &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];
/// RFC 7541, C.4.1.
const WWW_EXAMPLE_COM: &[u8] = &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];

/// `cache-control` in the static table.
const CACHE_CONTROL: usize = 24;

/// A name, the octets, and what is true of the request behind.
type Form = (&'static str, Vec<u8>, fn(&Record) -> bool);

/// Requests on streams 1 and 3, the first of which has these octets at its end, the second those.
fn twice<'a>(c: &'a mut Client, first: &[u8], second: &[u8]) -> &'a mut Client {
    for (stream, octets) in [(1, first), (3, second)] {
        let block = [&c.request_block("GET", &[]), octets].concat();
        c.headers(stream, END, block).answer(stream);
    }
    c
}

fn custom(record: &Record) -> bool {
    record.says("custom-key", "custom-value")
}

fn uncached(record: &Record) -> bool {
    record.says("cache-control", "no-cache")
}

mod cases {
    use super::*;

    /// Each kind of literal, with a name of the table, a new name, plain and coded.
    pub(super) fn literals() -> Vec<Case> {
        let kinds = [("with indexing", INDEXED), ("without indexing", PLAIN), ("never indexed", NEVER_INDEXED)];
        let mut cases = Vec::new();
        for (how, kind) in kinds {
            let prefix = named(kind, CACHE_CONTROL, "");
            let name = prefix[..prefix.len() - 1].to_vec();
            let forms: [Form; 5] = [
                ("6.2: a known name", named(kind, CACHE_CONTROL, "no-cache"), uncached),
                ("6.2: a known name and a coded value", [name, huffman(NO_CACHE)].concat(), uncached),
                ("6.2: a new name", literal(kind, "custom-key", "custom-value"), custom),
                ("6.2: a coded name", [vec![kind], huffman(CUSTOM_KEY), string("custom-value")].concat(), custom),
                ("6.2: all coded", [vec![kind], huffman(CUSTOM_KEY), huffman(CUSTOM_VALUE)].concat(), custom),
            ];
            for (form, octets, is_right) in forms {
                let again = if kind == INDEXED { indexed(62) } else { octets.clone() };
                let act = move |c: &mut Client| {
                    twice(c, &octets, &again);
                };
                let case = answered(format!("{form}, {how}"), move |c| {
                    act(c);
                    c
                });
                cases.push(case.expecting(&[1, 3]).with(is_right));
            }
        }
        cases
    }

    pub(super) fn pseudo_fields() -> Vec<Case> {
        vec![
            answered("6.1: pseudo fields of the static table", |c| {
                let path = named(PLAIN, 4, c.target());
                let authority = [&[0x41][..], &huffman(WWW_EXAMPLE_COM)].concat();
                c.headers(1, END, [indexed(2), indexed(6), path, authority].concat())
            })
            .with(|record| record.authority == "www.example.com" && record.method == "GET"),
            answered("6.1: pseudo fields of the dynamic table", |c| {
                let path = named(INDEXED, 4, c.target());
                let authority = named(INDEXED, 1, "test");
                c.headers(1, END, [indexed(3), indexed(7), path, authority].concat()).answer(1);
                c.headers(3, END, [indexed(3), indexed(7), indexed(63), indexed(62)].concat())
            })
            .expecting(&[1, 3])
            .with(|record| record.authority == "test" && record.method == "POST"),
            answered("6.2.3: sensitive pseudo fields", |c| {
                let path = named(NEVER_INDEXED, 4, c.target());
                c.headers(
                    1,
                    END,
                    [named(NEVER_INDEXED, 2, "PATCH"), indexed(6), path, named(NEVER_INDEXED, 1, "test")].concat(),
                )
            })
            .with(|record| record.method == "PATCH"),
        ]
    }

    pub(super) fn tables() -> Vec<Case> {
        vec![
            answered("2.3.2: the same entry twice", |c| {
                let twin = literal(INDEXED, "x-twin", "1");
                twice(c, &[&twin[..], &twin].concat(), &[indexed(62), indexed(63)].concat())
            })
            .expecting(&[1, 3])
            .with(|record| {
                record.fields.iter().filter(|(name, _)| name == "x-twin").count() <= 2 && record.has("x-twin")
            }),
            answered("2.3.2: a name of the dynamic table", |c| {
                twice(c, &literal(INDEXED, "x-name", "1"), &named(INDEXED, 62, "2"))
            })
            .expecting(&[1, 3])
            .with(|record| record.says("x-name", "1") || record.says("x-name", "2")),
            answered("4.4: a name of an entry that has to make room for it", |c| {
                let value = "y".repeat(4000);
                twice(c, &literal(INDEXED, "x-name", value), &named(INDEXED, 62, "z".repeat(4000)))
            })
            .expecting(&[1, 3])
            .with(|record| record.has("x-name")),
            answered("4.1: as many entries as there is room for", |c| {
                // Each counts for 32 octets more than it has.
                let entries: Vec<u8> = (0..110).flat_map(|at| literal(INDEXED, format!("x{at:03}"), "1")).collect();
                let all: Vec<u8> = (0..50).flat_map(|at| indexed(62 + at)).collect();
                let first = [c.request_block("GET", &[]), entries[..entries.len() / 2].to_vec()].concat();
                c.headers(1, END, first).answer(1);
                let block = [c.request_block("GET", &[]), all].concat();
                c.headers(3, END, block)
            })
            .expecting(&[1, 3])
            .with(|record| record.says("x054", "1") && record.says("x005", "1")),
            answered("4.4: entries that make room, again and again", |c| {
                for at in 0..20 {
                    let entry = literal(INDEXED, format!("x-{at}"), "y".repeat(1000));
                    let block = [c.request_block("GET", &[]), entry, indexed(62)].concat();
                    c.headers(2 * at + 3, END, block).answer(2 * at + 3);
                }
                c.get(101)
            })
            .expecting(&[3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 101]),
            answered("4.2: tables of every size", |c| {
                for (at, size) in (0..).zip([4096, 100, 33, 32, 1, 0, 31, 4095, 4096]) {
                    let entry = literal(INDEXED, "x", "1");
                    let again = if size >= 34 { indexed(62) } else { Vec::new() };
                    let block = [resized(size), c.request_block("GET", &[]), entry, again].concat();
                    c.headers(2 * at + 1, END, block).answer(2 * at + 1);
                }
                c
            })
            .expecting(&[1, 3, 5, 7, 9, 11, 13, 15, 17]),
        ]
    }
}
