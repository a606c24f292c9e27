//! RFC 7541: blocks of fields that cannot be decoded.

use interop_tests::raw_http::frame::{code::*, flag::*};
use interop_tests::raw_http::hpack::{
    INDEXED, NEVER_INDEXED, PLAIN, huffman, indexed, integer, literal, named, resized, string,
};
use interop_tests::raw_http::http2::Client;

use super::{Behind, Case, answered, connection, either, run_cases};

crate::tables! { run_cases;
    indices;
    sizes_of_the_table;
    integers;
    strings;
    ends;
}

/// A request whose block ends like this.
fn behind<'a>(c: &'a mut Client, octets: &[u8]) -> &'a mut Client {
    let block = [&c.request_block("GET", &[]), octets].concat();
    c.headers(1, END, block)
}

/// A request whose block begins like this.
fn before<'a>(c: &'a mut Client, octets: &[u8]) -> &'a mut Client {
    let block = [octets, &c.request_block("GET", &[])].concat();
    c.headers(1, END, block)
}

/// A block with these octets at its end cannot be decoded.
fn wrong(name: impl Into<String>, octets: impl Into<Vec<u8>>) -> Case {
    let octets = octets.into();
    connection(name, &[COMPRESSION_ERROR], move |c| behind(c, &octets)).behind(Behind::Nothing)
}

mod cases {
    use super::*;

    pub(super) fn indices() -> Vec<Case> {
        vec![
            wrong("2.3.3: index 0", indexed(0)),
            wrong("2.3.3: an index behind an empty table", indexed(62)),
            wrong("2.3.3: an index far behind", indexed(70)),
            wrong("2.3.3: an index beyond all tables", indexed(1 << 20)),
            wrong("2.3.3: a name behind an empty table", named(INDEXED, 62, "1")),
            wrong("2.3.3: a name behind an empty table, not indexed", named(PLAIN, 70, "1")),
            wrong("2.3.3: a name behind an empty table, never indexed", named(NEVER_INDEXED, 1000, "1")),
            wrong("2.3.3: an index behind a table of one", [literal(INDEXED, "x", "1"), indexed(63)].concat()),
            wrong("4.4: an entry that is larger than the table empties it", {
                let small = literal(INDEXED, "x", "1");
                let large = literal(INDEXED, "y", "z".repeat(4096));
                [small, large, indexed(62)].concat()
            }),
            wrong("4.4: an entry that had to make room", {
                let entries = (0..3).flat_map(|at| literal(INDEXED, format!("x{at}"), "z".repeat(2000)));
                entries.chain(indexed(64)).collect::<Vec<_>>()
            }),
        ]
    }

    pub(super) fn sizes_of_the_table() -> Vec<Case> {
        vec![
            connection("6.3: a table that is larger than allowed", &[COMPRESSION_ERROR], |c| before(c, &resized(4097)))
                .behind(Behind::Nothing),
            connection("6.3: a table that is as large as can be", &[COMPRESSION_ERROR], |c| {
                before(c, &resized(u32::MAX as usize))
            })
            .behind(Behind::Nothing),
            wrong("4.2: a new size at the end of a block", resized(0)),
            wrong("4.2: a new size between fields", [resized(100), literal(PLAIN, "x", "1")].concat()),
            answered("6.3: the size that it has", |c| before(c, &resized(4096))),
            answered("6.3: no table", |c| before(c, &resized(0))),
            answered("4.2: no table for a moment", |c| before(c, &[resized(0), resized(4096)].concat())),
            either("4.2: three new sizes", |c| before(c, &[resized(0), resized(100), resized(4096)].concat())),
            connection("4.3: no table empties it", &[COMPRESSION_ERROR], |c| {
                let block = [c.request_block("GET", &[]), literal(INDEXED, "x", "1")].concat();
                c.headers(1, END, block).answer(1);
                let block = [resized(0), resized(4096), c.request_block("GET", &[]), indexed(62)].concat();
                c.headers(3, END, block)
            }),
            answered("4.3: a smaller table keeps what fits", |c| {
                let entries = [literal(INDEXED, "x-old", "1"), literal(INDEXED, "x-new", "2")].concat();
                let block = [c.request_block("GET", &[]), entries].concat();
                c.headers(1, END, block).answer(1);
                let block = [resized(40), c.request_block("GET", &[]), indexed(62)].concat();
                c.headers(3, END, block)
            })
            .expecting(&[1, 3])
            .with(|record| record.says("x-new", "2")),
        ]
    }

    pub(super) fn integers() -> Vec<Case> {
        let long = |first: u8, octets: usize| [vec![first], vec![0x80; octets], vec![0]].concat();
        vec![
            wrong("5.1: an index that is too large for 32 bits", [0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            wrong("5.1: an index that is too large for 64 bits", [&[0xff; 10][..], &[0x7f]].concat()),
            wrong("5.1: an index without an end", [0xff; 40]),
            wrong("5.1: a length that is too large for 32 bits", [0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            wrong("5.1: a length that is too large for 64 bits", [&[0x00, 0x7f][..], &[0xff; 10], &[0x7f]].concat()),
            wrong("5.1: a size that is too large for 64 bits", [&[0x3f][..], &[0xff; 10], &[0x7f]].concat()),
            // Octets of nothing but zero bits are allowed, and may be refused where they are too many.
            either("5.1: an index with a zero too many", move |c| {
                behind(c, &[vec![0x80 | 0x7f, 0x80], vec![0x00]].concat())
            }),
            either("5.1: a length with zeros", move |c| {
                let octets = [&[PLAIN, 1, b'x'][..], &long(0x7f, 3), &[b'y'; 127]].concat();
                behind(c, &octets)
            }),
            either("5.1: a length with a thousand zeros", move |c| {
                let octets = [&[PLAIN, 1, b'x'][..], &long(0x7f, 1000), &[b'y'; 127]].concat();
                behind(c, &octets)
            }),
        ]
    }

    pub(super) fn strings() -> Vec<Case> {
        let value = |code: Vec<u8>| [&[PLAIN][..], &string("x"), &code].concat();
        vec![
            wrong("5.2: padding of more than seven bits", value(huffman(&[0x1f, 0xff]))),
            wrong("5.2: padding of a whole octet", value(huffman(&[0xff]))),
            wrong("5.2: padding of zeros", value(huffman(&[0x18]))),
            wrong("5.2: the end of a string in it", value(huffman(&[0xff, 0xff, 0xff, 0xff]))),
            wrong("5.2: the end of a string behind a character", value(huffman(&[0x1f, 0xff, 0xff, 0xff, 0xff]))),
            wrong("5.2: half a character", value(huffman(&[0xff, 0xfe]))),
            wrong(
                "5.2: a value that is longer than the block",
                [&[PLAIN][..], &string("x"), &integer(0, 7, 10), b"short"].concat(),
            ),
            wrong("5.2: a name that is longer than the block", [&[INDEXED][..], &integer(0, 7, 1000), b"x"].concat()),
            wrong(
                "5.2: a coded value that is longer than the block",
                [&[PLAIN][..], &string("x"), &[0x85, 0x1f]].concat(),
            ),
            wrong("5.2: a coded name of bad padding", [&[PLAIN][..], &huffman(&[0xff, 0xff]), &string("1")].concat()),
        ]
    }

    /// Blocks that end where something is to follow.
    pub(super) fn ends() -> Vec<Case> {
        let field = literal(INDEXED, "x-name", "value");
        let cuts = (1..field.len()).map(|at| wrong(format!("6.2: a field that ends after {at} octets"), &field[..at]));
        let others = [
            wrong("6.1: half an index", [0xff]),
            wrong("6.3: half a size", [0x3f]),
            wrong("6.2: half an index of a name", [0x7f]),
            wrong("6.2: a name of the tables without a value", integer(INDEXED, 6, 15)),
        ];
        cuts.chain(others).collect()
    }
}
