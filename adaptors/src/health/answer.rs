//! The status of an HTTP/1 answer, from the octets of a server that may send anything.

/// Octets in the heads before the status that counts, those of interim answers (1xx).
const HEADS_MAX: usize = 16 * 1024;

/// Octets of a status line that are looked at: the version, a space, three digits, and what follows them.
const LINE: usize = 13;

/// Why there is no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The octets are no answer of HTTP/1.
    #[error("it does not speak HTTP/1")]
    NotHttp,
    /// There is no end of interim answers.
    #[error("it answered with more than {HEADS_MAX} octets without a final status")]
    TooLong,
}

/// Looks for the status, octet by octet. It keeps a status line at most.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Octets so far.
    seen: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In a status line, with so much of it.
    Line([u8; LINE], usize),
    /// In the head of an interim answer; the line so far has so many octets, of which CR is none.
    Interim(usize),
}

// === impl Place ===

impl Default for Place {
    fn default() -> Self {
        Self::Line([0; LINE], 0)
    }
}

// === impl Answer ===

impl Answer {
    /// Reads on. The status, once it is there; what follows is not looked at.
    pub(super) fn read(&mut self, octets: &[u8]) -> Result<Option<u16>, AnswerError> {
        for octet in octets {
            self.seen += 1;
            if self.seen > HEADS_MAX {
                return Err(AnswerError::TooLong);
            }
            if let Some(status) = self.step(*octet)? {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    fn step(&mut self, octet: u8) -> Result<Option<u16>, AnswerError> {
        match &mut self.place {
            Place::Line(line, len) => {
                let fits = match *len {
                    at @ 0..7 => octet == b"HTTP/1."[at],
                    7 => octet.is_ascii_digit(),
                    8 => octet == b' ',
                    9 => matches!(octet, b'1'..=b'5'),
                    10 | 11 => octet.is_ascii_digit(),
                    _ => matches!(octet, b' ' | b'\r' | b'\n'),
                };
                if !fits {
                    return Err(AnswerError::NotHttp);
                }
                line[*len] = octet;
                *len += 1;
                if *len < LINE {
                    return Ok(None);
                }
                let status = line[9..12].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
                if status >= 200 {
                    return Ok(Some(status));
                }
                // The line of a status that ends at once has ended; one that goes on is not empty.
                self.place = Place::Interim(usize::from(octet != b'\n'));
            }
            Place::Interim(0) if octet == b'\n' => self.place = Place::default(),
            Place::Interim(len) if octet == b'\n' => *len = 0,
            Place::Interim(len) => *len += usize::from(octet != b'\r'),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<Option<u16>, AnswerError> {
        Answer::default().read(text)
    }

    #[test]
    fn the_status_is_found() {
        for (text, status) in [
            ("HTTP/1.1 200 OK\r\n", 200),
            ("HTTP/1.0 204 \r\n", 204),
            ("HTTP/1.1 302\r\n", 302),
            ("HTTP/1.1 503\n", 503),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 200),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 404 Not Found\r\n", 404),
            ("HTTP/1.1 100\n\nHTTP/1.1 100\r\n\r\nHTTP/1.1 500 ", 500),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(Some(status)), "{text:?}");
        }
    }

    #[test]
    fn an_answer_goes_on_until_it_has_a_status() {
        for text in ["", "HTT", "HTTP/1.1 20", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 a\nb"] {
            assert_eq!(read(text.as_bytes()), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in
            ["\r\n", "http/1.1 200 OK", "HTTP/2 200 OK", "HTTP/1.1  200", "HTTP/1.1 2000", "HTTP/1.1 099 ", "SSH-2.0-x"]
        {
            assert_eq!(read(text.as_bytes()), Err(AnswerError::NotHttp), "{text:?}");
        }
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        assert_eq!(read(endless.as_bytes()), Err(AnswerError::TooLong));
        let endless = format!("HTTP/1.1 103 Early Hints\r\nX: {}", "x".repeat(HEADS_MAX));
        assert_eq!(read(endless.as_bytes()), Err(AnswerError::TooLong));
    }

    fn in_pieces(text: &[u8], cuts: &[usize]) -> Result<Option<u16>, AnswerError> {
        let (mut answer, mut from) = (Answer::default(), 0);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.sort_unstable();
        for to in cuts.into_iter().chain([text.len()]) {
            if let Some(status) = answer.read(&text[from..to])? {
                return Ok(Some(status));
            }
            from = to;
        }
        Ok(None)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn anything_is_read_alike_in_any_pieces(
            begin in "(HTTP/1\\.[01] 1[0-9]{2}( [a-z]{0,5})?\r?\n([A-Z]:[a-z]{0,5}\r?\n){0,3}\r?\n){0,3}",
            rest in prop_oneof![
                "HTTP/1\\.[01] [0-9]{3}[ \r\n]".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..40),
            ],
            cuts in proptest::collection::vec(any::<usize>(), 0..6),
        ) {
            let text = [begin.as_bytes(), &rest].concat();
            let whole = read(&text);
            prop_assert_eq!(in_pieces(&text, &cuts), whole);
            if let Ok(Some(status)) = whole {
                prop_assert!((200..600).contains(&status));
            }
        }
    }
}
