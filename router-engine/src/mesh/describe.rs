//! Messages and results for the log, in the notation that operators of existing routers and their tools know.
//! Nothing is formatted before the text is written.

use super::path::{Path, Paths};
use std::fmt::{self, Display, Formatter, Write, from_fn};

/// A text in quotes; what could be taken for the end of it, or of the line, is escaped.
fn quoted(text: &str) -> impl Display {
    from_fn(move |f| {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        f.write_char(quote)?;
        for c in text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                c if c == quote => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        f.write_char(quote)
    })
}

fn separated<T>(f: &mut Formatter<'_>, items: impl Iterator<Item = T>, show: impl Fn(T) -> String) -> fmt::Result {
    for (index, item) in items.enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{}", show(item))?;
    }
    Ok(())
}

/// Router ids: `['A', 'B']`.
pub(super) fn ids<'a, I: Iterator<Item = &'a str>>(ids: impl Fn() -> I) -> impl Display {
    from_fn(move |f| {
        f.write_char('[')?;
        separated(f, ids(), |id| quoted(id).to_string())?;
        f.write_char(']')
    })
}

/// Values by router id: `{'A': 1}`.
fn by_id<'a, V: Display, I: Iterator<Item = (&'a str, V)>>(entries: impl Fn() -> I) -> impl Display {
    from_fn(move |f| {
        f.write_char('{')?;
        separated(f, entries(), |(id, value)| format!("{}: {value}", quoted(id)))?;
        f.write_char('}')
    })
}

pub(super) fn hello<'a, I: Iterator<Item = &'a str>>(
    id: &str,
    version: i64,
    instance: i64,
    seen: impl Fn() -> I,
) -> impl Display {
    let seen = ids(seen);
    from_fn(move |f| write!(f, "HELLO(id={id} pv={version} area=0 inst={instance} seen={seen})"))
}

pub(super) fn ra(id: &str, version: i64, instance: i64, ls_seq: i64, mobile_seq: i64) -> impl Display {
    from_fn(move |f| {
        write!(f, "RA(id={id} pv={version} area=0 inst={instance} ls_seq={ls_seq} mobile_seq={mobile_seq})")
    })
}

pub(super) fn lsr(id: &str, version: i64) -> impl Display {
    from_fn(move |f| write!(f, "LSR(id={id} pv={version} area=0)"))
}

pub(super) fn lsu(id: &str, version: i64, instance: i64, ls_seq: i64, state: impl Display) -> impl Display {
    from_fn(move |f| write!(f, "LSU(id={id} pv={version} area=0 inst={instance} ls_seq={ls_seq} ls={state})"))
}

pub(super) fn link_state<'a, I: Iterator<Item = (&'a str, u32)>>(
    id: &str,
    ls_seq: i64,
    peers: impl Fn() -> I,
) -> impl Display {
    let peers = by_id(peers);
    from_fn(move |f| write!(f, "LS(id={id} area=0 ls_seq={ls_seq} peers={peers})"))
}

/// One entry per reachable router.
fn by_path<'a, V: Display>(paths: &'a Paths<'a>, value: impl Fn(&'a Path<'a>) -> V) -> impl Display {
    from_fn(move |f| Display::fmt(&by_id(|| paths.paths.iter().map(|(id, path)| (*id, value(path)))), f))
}

pub(super) fn next_hops<'a>(paths: &'a Paths<'a>) -> impl Display {
    by_path(paths, |path| quoted(path.next_hop))
}

pub(super) fn costs<'a>(paths: &'a Paths<'a>) -> impl Display {
    by_path(paths, |path| path.cost)
}

pub(super) fn valid_origins<'a>(paths: &'a Paths<'a>) -> impl Display {
    by_path(paths, |path| ids(|| path.valid_origins.iter().copied()))
}

pub(super) fn unreachable<'a>(paths: &'a Paths<'a>) -> impl Display {
    ids(|| paths.unreachable.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_end_a_line_or_a_quote() {
        for (id, shown) in
            [("A", "'A'"), ("it's", "\"it's\""), ("'\"", "'\\'\"'"), ("a\nb\\", "'a\\nb\\\\'"), ("é", "'é'")]
        {
            assert_eq!(quoted(id).to_string(), shown);
        }
    }

    #[test]
    fn messages_have_the_known_notation() {
        let peers = [("B", 1), ("C", 2)];
        let state = link_state("A", 3, || peers.into_iter());
        assert_eq!(
            lsu("A", 1, 7, 3, state).to_string(),
            "LSU(id=A pv=1 area=0 inst=7 ls_seq=3 ls=LS(id=A area=0 ls_seq=3 peers={'B': 1, 'C': 2}))"
        );
        let seen = ["B", "C"];
        assert_eq!(hello("A", 1, 7, || seen.into_iter()).to_string(), "HELLO(id=A pv=1 area=0 inst=7 seen=['B', 'C'])");
        assert_eq!(ra("A", 1, 7, 2, 5).to_string(), "RA(id=A pv=1 area=0 inst=7 ls_seq=2 mobile_seq=5)");
        assert_eq!(lsr("A", 1).to_string(), "LSR(id=A pv=1 area=0)");
    }
}
