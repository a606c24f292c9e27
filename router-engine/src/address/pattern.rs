//! Address patterns with wildcards, and a tree of them that finds the best match
//! (spec `amqp-endpoint.md` 8.2, 8.3).

use std::collections::HashMap;

#[cfg(test)]
mod tests;

const SEPARATORS: [char; 2] = ['.', '/'];
const ONE: &str = "*";
const MANY: &str = "#";

/// Why a configured prefix or pattern is refused; the text is what the requester is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Neither is given.
    #[error("Either a 'prefix' or 'pattern' attribute must be provided")]
    Missing,
    /// Both are given.
    #[error("Cannot specify both a 'prefix' and a 'pattern' attribute")]
    Both,
    /// The prefix is empty (or no string).
    #[error("Prefix must be a non-empty string type")]
    EmptyPrefix,
    /// The pattern is empty (or no string).
    #[error("Pattern must be a non-empty string type")]
    EmptyPattern,
    /// The prefix has nothing but separators.
    #[error("Prefix invalid - no tokens")]
    NoPrefixTokens,
    /// The pattern has nothing but separators.
    #[error("Pattern invalid - no tokens")]
    NoPatternTokens,
}

/// Checks the attributes of an address configuration and makes a pattern of them: a prefix `p`
/// becomes `p/#`; separators at the ends are removed.
///
/// # Errors
/// When not exactly one is given, or it has no tokens.
pub fn from_attributes(prefix: Option<&str>, pattern: Option<&str>) -> Result<String, PatternError> {
    let trim = |text: &str| text.trim_matches(SEPARATORS).to_owned();
    match (prefix, pattern) {
        (None, None) => Err(PatternError::Missing),
        (Some(_), Some(_)) => Err(PatternError::Both),
        (Some(""), None) => Err(PatternError::EmptyPrefix),
        (None, Some("")) => Err(PatternError::EmptyPattern),
        (Some(prefix), None) => {
            let tokens = trim(prefix);
            if tokens.is_empty() { Err(PatternError::NoPrefixTokens) } else { Ok(tokens + "/#") }
        }
        (None, Some(pattern)) => {
            let tokens = trim(pattern);
            if tokens.is_empty() { Err(PatternError::NoPatternTokens) } else { Ok(tokens) }
        }
    }
}

/// Values by pattern. Of the patterns that match an address the tree finds the one that, at the
/// first token where they differ, prefers a literal token to `*`, and `*` to `#`.
#[derive(Debug, Clone)]
pub struct PatternTree<V> {
    root: TokenNode<V>,
    len: usize,
}

#[derive(Debug, Clone)]
struct TokenNode<V> {
    /// Of the pattern that ends here.
    value: Option<V>,
    exact: HashMap<Box<str>, Self>,
    one: Option<Box<Self>>,
    /// Matches any number of tokens. By normalisation it has neither `one` nor `many` below it.
    many: Option<Box<Self>>,
}

/// What is known of one search for a match, so that whatever the address it takes no more steps than a small multiple
/// of the address's tokens for each `#` of the patterns.
struct Search<'a, V> {
    /// The search is inside what follows a `#`.
    inside: bool,
    /// Nodes of a `#` inside another that matched nothing. They are come to again only with less of the address, of
    /// which they match nothing either.
    failed: Vec<&'a TokenNode<V>>,
}

impl<V> Default for Search<'_, V> {
    fn default() -> Self {
        Self { inside: false, failed: Vec::new() }
    }
}

// === impl PatternTree ===

impl<V> Default for PatternTree<V> {
    fn default() -> Self {
        Self { root: TokenNode::default(), len: 0 }
    }
}

impl<V> PatternTree<V> {
    /// Adds a pattern.
    ///
    /// # Errors
    /// Gives `value` back when the same pattern is there already; `.` and `/` do not make a
    /// difference, nor does what normalisation removes.
    pub fn insert(&mut self, pattern: &str, value: V) -> Result<(), V> {
        let mut node = &mut self.root;
        for token in normalised(pattern) {
            node = node.child_or_new(token);
        }
        if node.value.is_some() {
            return Err(value);
        }
        node.value = Some(value);
        self.len += 1;
        Ok(())
    }

    /// Removes a pattern and returns its value, if it was there.
    pub fn remove(&mut self, pattern: &str) -> Option<V> {
        let value = self.root.remove(&normalised(pattern))?;
        self.len -= 1;
        Some(value)
    }

    /// The value of exactly this pattern.
    #[must_use]
    pub fn get(&self, pattern: &str) -> Option<&V> {
        normalised(pattern).into_iter().try_fold(&self.root, TokenNode::child)?.value.as_ref()
    }

    /// The value of the best pattern for `address`, which is without scheme, host and class character.
    #[must_use]
    pub fn best_match(&self, address: &str) -> Option<&V> {
        self.root.best_match(Tokens::new(address), &mut Search::default())
    }

    /// Number of patterns.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// There are no patterns.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

// === impl TokenNode ===

impl<V> Default for TokenNode<V> {
    fn default() -> Self {
        Self { value: None, exact: HashMap::new(), one: None, many: None }
    }
}

impl<V> TokenNode<V> {
    fn is_unused(&self) -> bool {
        self.value.is_none() && self.exact.is_empty() && self.one.is_none() && self.many.is_none()
    }

    fn child(&self, token: &str) -> Option<&Self> {
        match token {
            ONE => self.one.as_deref(),
            MANY => self.many.as_deref(),
            _ => self.exact.get(token),
        }
    }

    fn child_or_new(&mut self, token: &str) -> &mut Self {
        match token {
            ONE => self.one.get_or_insert_default(),
            MANY => self.many.get_or_insert_default(),
            _ => self.exact.entry(token.into()).or_default(),
        }
    }

    /// Removes the pattern made of `tokens` below this node, and nodes that are no longer needed.
    fn remove(&mut self, tokens: &[&str]) -> Option<V> {
        let Some((token, rest)) = tokens.split_first() else { return self.value.take() };
        match *token {
            ONE => Self::remove_boxed(&mut self.one, rest),
            MANY => Self::remove_boxed(&mut self.many, rest),
            token => {
                let child = self.exact.get_mut(token)?;
                let value = child.remove(rest);
                if child.is_unused() {
                    self.exact.remove(token);
                }
                value
            }
        }
    }

    fn remove_boxed(slot: &mut Option<Box<Self>>, tokens: &[&str]) -> Option<V> {
        let child = slot.as_deref_mut()?;
        let value = child.remove(tokens);
        if child.is_unused() {
            *slot = None;
        }
        value
    }

    /// Depth-first with backtracking. It recurses as deep as patterns are long, whatever the address.
    fn best_match<'a>(&'a self, tokens: Tokens<'_>, search: &mut Search<'a, V>) -> Option<&'a V> {
        let mut rest = tokens;
        let found = match rest.next() {
            None => self.value.as_ref(),
            Some(token) => {
                let exact = self.exact.get(token).and_then(|child| child.best_match(rest, search));
                exact.or_else(|| self.one.as_ref().and_then(|child| child.best_match(rest, search)))
            }
        };
        found.or_else(|| self.many.as_ref().and_then(|child| child.match_many(tokens, search)))
    }

    /// Matches `#` (this node) and what follows it: first by as few tokens as possible.
    fn match_many<'a>(&'a self, mut tokens: Tokens<'_>, search: &mut Search<'a, V>) -> Option<&'a V> {
        if search.failed.iter().any(|node| std::ptr::eq(*node, self)) {
            return None;
        }
        let inside = std::mem::replace(&mut search.inside, true);
        if !self.exact.is_empty() {
            while let Some(token) = tokens.next() {
                if let Some(found) = self.exact.get(token).and_then(|child| child.best_match(tokens, search)) {
                    return Some(found);
                }
            }
        }
        search.inside = inside;
        if inside && self.value.is_none() {
            search.failed.push(self);
        }
        self.value.as_ref()
    }
}

/// The tokens of an address: leading separators are skipped, and one trailing one.
#[derive(Debug, Clone, Copy)]
struct Tokens<'a> {
    rest: &'a str,
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    fn new(address: &'a str) -> Self {
        Self { rest: address.trim_start_matches(SEPARATORS) }
    }

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        // Separators are ASCII, so octets can be searched.
        match self.rest.bytes().position(|b| b == b'.' || b == b'/') {
            Some(end) => {
                let token = &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                Some(token)
            }
            None => Some(std::mem::take(&mut self.rest)),
        }
    }
}

/// The tokens of a pattern in normal form: in a row of wildcards that has a `#`, the `*` come
/// first and one `#` ends it.
fn normalised(pattern: &str) -> Vec<&str> {
    let mut tokens: Vec<&str> = Vec::new();
    for token in pattern.trim_matches(SEPARATORS).split(SEPARATORS) {
        match (tokens.last().copied(), token) {
            (Some(MANY), MANY) => {}
            (Some(MANY), ONE) => {
                let last = tokens.len() - 1;
                tokens.insert(last, ONE);
            }
            _ => tokens.push(token),
        }
    }
    tokens
}
