//! Which levels a module writes.

use crate::error::RouterError;
use router_engine::log::Level;

/// The parsed `enable` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enable {
    /// As the default module.
    #[default]
    Default,
    /// The levels with these bits.
    Mask(u8),
}

/// Words in the order in which beginnings of them are tried.
const WORDS: [&str; 7] = ["default", "none", "debug", "info", "warning", "error", "critical"];

impl Enable {
    /// Parses level names separated by any of `,;:` and blank; a `+` adds what is more severe.
    ///
    /// # Errors
    /// When a token is not (the beginning of) a level name.
    pub fn parse(text: &str) -> Result<Self, RouterError> {
        let mut mask = 0;
        for token in text.split([',', ';', ':', ' ']).filter(|t| !t.is_empty()) {
            let (name, above) = token.strip_suffix('+').map_or((token, false), |name| (name, true));
            let word = WORDS.iter().position(|w| is_beginning(name, w)).ok_or_else(|| refusal(text))?;
            match word {
                0 => return Ok(Self::Default),
                1 => {}
                word => {
                    let level = Level::ALL[word - 2];
                    mask |= if above { level.and_above() } else { level.bit() };
                }
            }
        }
        Ok(Self::Mask(mask))
    }
}

fn is_beginning(name: &str, word: &str) -> bool {
    !name.is_empty() && word.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
}

fn refusal(text: &str) -> RouterError {
    RouterError::configuration(format!(
        "'{text}' is not a valid log level. Should be one of {{none, debug, info, warning, error, critical}}."
    ))
}
