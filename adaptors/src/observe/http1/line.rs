//! Lines, from octets that come in pieces.

use super::Error;
use crate::observe::scratch::{LIMIT, Scratch};

/// Puts lines together. One that comes whole is not copied.
#[derive(Debug)]
pub(super) struct LineReader {
    /// The beginning of a line, or all of the one that was read last.
    kept: Scratch,
}

/// A line and how many of the octets given belonged to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Without the line feed that ends it and the carriage returns before.
    pub(super) text: &'a [u8],
    pub(super) consumed: usize,
}

// === impl LineReader ===

impl LineReader {
    pub(super) const fn new() -> Self {
        Self { kept: Scratch::new() }
    }

    /// The line that ends in `octets`; `None` when it does not end there, and they are kept.
    #[inline]
    pub(super) fn read<'a>(&'a mut self, octets: &'a [u8]) -> Result<Option<Line<'a>>, Error> {
        if self.kept.is_empty()
            && let Some(consumed) = line_end(&octets[..octets.len().min(LIMIT)])?
        {
            return Ok(Some(Line { text: trimmed(&octets[..consumed]), consumed }));
        }
        self.read_more(octets)
    }

    /// Goes on with a line that began before, or keeps the beginning of one.
    fn read_more<'a>(&'a mut self, octets: &'a [u8]) -> Result<Option<Line<'a>>, Error> {
        if self.kept.ends_with(b"\n") {
            self.kept.clear();
            return self.read(octets);
        }
        let admitted = &octets[..octets.len().min(LIMIT - self.kept.len())];
        let end = line_end(admitted)?;
        if end.is_none() && admitted.len() < octets.len() {
            return Err(Error::LineTooLong);
        }
        let part = &admitted[..end.unwrap_or(admitted.len())];
        self.kept.push(part).map_err(|_| Error::LineTooLong)?;
        Ok(end.map(|consumed| Line { text: trimmed(&self.kept), consumed }))
    }

    /// Whether nothing of a line has come that has no end yet.
    pub(super) fn is_between_lines(&self) -> bool {
        self.kept.is_empty() || self.kept.ends_with(b"\n")
    }

    /// How many octets are lines of which nobody wants to know more than that [`Self::read`] would read them.
    /// `matters` tells from its beginning whether a line is another one.
    pub(super) fn skip(&self, octets: &[u8], matters: impl Fn(&[u8]) -> bool) -> usize {
        if !self.kept.is_empty() || matters(octets) {
            return 0;
        }
        let mut skipped = 0;
        let (words, _) = octets[..octets.len().min(LIMIT)].as_chunks();
        for (at, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let (strange, mut feeds) = (outsiders(word), line_feeds(word));
            while feeds != 0 && strange & below_lowest(feeds) == 0 {
                skipped = at * WORD + octets_through(feeds);
                if matters(&octets[skipped..]) {
                    return skipped;
                }
                feeds &= feeds - 1;
            }
            if strange != 0 {
                return skipped;
            }
        }
        skipped
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn footprint(&self) -> usize {
        self.kept.footprint()
    }
}

fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [before @ .., b'\r' | b'\n'] = line {
        line = before;
    }
    line
}

/// Where the first line ends, if it does. Its octets are from 0x01 to 0x7E.
fn line_end(octets: &[u8]) -> Result<Option<usize>, Error> {
    let (words, rest) = octets.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let feeds = line_feeds(word);
        if outsiders(word) & below_lowest(feeds) != 0 {
            return Err(Error::NotAscii);
        }
        if feeds != 0 {
            return Ok(Some(at * WORD + octets_through(feeds)));
        }
    }
    let end = rest.iter().position(|octet| *octet == b'\n').map(|at| at + 1);
    let line = &rest[..end.unwrap_or(rest.len())];
    let ascii = line.iter().all(|octet| matches!(octet, 0x01..=0x7E));
    if ascii { Ok(end.map(|end| octets.len() - rest.len() + end)) } else { Err(Error::NotAscii) }
}

// Every octet of every head is looked at. Eight at a time are a word, the first one lowest, and what is found of them are
// the highest bits of octets.

const WORD: usize = size_of::<u64>();
const ONES: u64 = u64::MAX / 255;
const HIGHEST: u64 = ONES << 7;

/// Octets that are line feeds.
const fn line_feeds(word: u64) -> u64 {
    let zeros = word ^ (ONES * b'\n' as u64);
    !(((zeros & !HIGHEST) + !HIGHEST) | zeros) & HIGHEST
}

/// Octets that are not from 0x01 to 0x7E. The lowest of them is right; its carry or borrow may add others.
const fn outsiders(word: u64) -> u64 {
    (word | word.wrapping_add(ONES) | word.wrapping_sub(ONES)) & HIGHEST
}

/// All bits below the lowest one; all, if there is none.
const fn below_lowest(bits: u64) -> u64 {
    (bits & bits.wrapping_neg()).wrapping_sub(1)
}

/// How many octets there are through the lowest one that was found.
const fn octets_through(found: u64) -> usize {
    found.trailing_zeros() as usize / 8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of pieces, and the error that ended them.
    fn lines(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Error>) {
        let (mut reader, mut lines) = (LineReader::new(), Vec::new());
        for mut octets in pieces.iter().copied() {
            while !octets.is_empty() {
                match reader.read(octets) {
                    Ok(None) => break,
                    Ok(Some(line)) => {
                        lines.push(line.text.to_vec());
                        octets = &octets[line.consumed..];
                    }
                    Err(error) => return (lines, Some(error)),
                }
            }
        }
        (lines, None)
    }

    #[test]
    fn lines_end_with_a_line_feed() {
        let whole: &[u8] = b"one\r\ntwo\n\r\n\n\r\r\nt\rwo\r\nleft";
        let expected = [&b"one"[..], b"two", b"", b"", b"", b"t\rwo"];
        for cut in 0..whole.len() {
            assert_eq!(lines(&[&whole[..cut], &whole[cut..]]), (expected.map(<[u8]>::to_vec).to_vec(), None), "{cut}");
        }
    }

    #[test]
    fn lines_have_a_longest() {
        let mut line = vec![b'x'; LIMIT - 1];
        line.push(b'\n');
        assert_eq!(lines(&[&line]).0.len(), 1);
        assert_eq!(lines(&[&line[..9], &line[9..]]).0.len(), 1);
        line.insert(0, b'x');
        assert_eq!(lines(&[&line]), (vec![], Some(Error::LineTooLong)));
        assert_eq!(lines(&[&line[..LIMIT]]), (vec![], None));
        assert_eq!(lines(&[&line[..LIMIT], b"\n"]), (vec![], Some(Error::LineTooLong)));
        line.push(0);
        assert_eq!(lines(&[&line]), (vec![], Some(Error::LineTooLong)), "which comes first");
    }

    #[test]
    fn lines_are_ascii() {
        for (length, end) in (1..40).flat_map(|length| (0..=length).map(move |end| (length, end))) {
            for (at, octet) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |octet| (at, octet))) {
                let mut text = vec![b'\r'; length];
                text[end..].fill(b'\n');
                text[at] = octet;
                let first = text.iter().position(|octet| *octet == b'\n');
                let good = matches!(octet, 0x01..=0x7E) || first.is_some_and(|first| first < at);
                let expected = if good { Ok(first.map(|first| first + 1)) } else { Err(Error::NotAscii) };
                assert_eq!(line_end(&text), expected, "{}", text.escape_ascii());
            }
        }
        assert_eq!(lines(&[b"ok\nnot\xC3\xA4"]), (vec![b"ok".to_vec()], Some(Error::NotAscii)));
    }

    /// As [`LineReader::skip`], an octet after the other. It may skip less, for want of a whole word.
    fn skipped(octets: &[u8], matters: impl Fn(&[u8]) -> bool) -> usize {
        let mut skipped = 0;
        while let Ok(Some(length)) = line_end(&octets[skipped..])
            && !matters(&octets[skipped..])
        {
            skipped += length;
        }
        skipped
    }

    #[test]
    fn lines_are_skipped() {
        let matters = |line: &[u8]| line[0] == b'!';
        let mut reader = LineReader::new();
        let cases: [&[u8]; 7] = [
            b"a\r\nb\n!c\r\n",
            b"!a\r\nb\n",
            b"a\nb\nlong, longer\ne",
            b"long, longer, longest, last",
            b"a\n\xff\n",
            b"long, longer\nlong, longer\xff\n",
            b"a\n\n\n\n\n\n\n\n\n!\n",
        ];
        for octets in cases.map(|octets| [octets, b"\n!      "].concat()) {
            for start in 0..octets.len() - 8 {
                let octets = &octets[start..];
                assert_eq!(reader.skip(octets, matters), skipped(octets, matters), "{}", octets.escape_ascii());
            }
        }
        let long = [&[b'x'; LIMIT][..], b"\na, b\nc, d\n"].concat();
        assert_eq!(reader.skip(&long, matters), 0);
        assert_eq!(reader.skip(&long[LIMIT..], matters), 6);
        assert_eq!(reader.read(b"part of "), Ok(None));
        assert_eq!(reader.skip(b"a line\n", matters), 0);
    }
}
