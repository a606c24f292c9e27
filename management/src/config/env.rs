//! Expansion of environment variables.
//!
//! The router itself takes files as they are; container images expand them before they start it
//! (spec `skupper-controller-contract.md` 2.3).

/// Replaces `$NAME` and `${NAME}` on every line that does not begin with `#`. Unknown names and
/// malformed references stay as they are.
#[must_use]
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    text.split_inclusive('\n')
        .map(
            |line| {
                if line.starts_with('#') || !line.contains('$') { line.to_owned() } else { expand_line(line, &lookup) }
            },
        )
        .collect()
}

fn expand_line(line: &str, lookup: &impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let reference = reference(&rest[at..]);
        match reference.and_then(|(name, len)| Some((lookup(name)?, len))) {
            Some((value, len)) => {
                out.push_str(&value);
                rest = &rest[at + len..];
            }
            None => {
                out.push('$');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The name in the reference that `text` begins with, and the length of the reference.
fn reference(text: &str) -> Option<(&str, usize)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let text = text.strip_prefix('$')?;
    if let Some(braced) = text.strip_prefix('{') {
        let end = braced.find('}')?;
        let name = &braced[..end];
        return (!name.is_empty() && name.chars().all(is_name)).then_some((name, end + 3));
    }
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    (end > 0).then_some((&text[..end], end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_known_names_only() {
        let lookup = |name: &str| match name {
            "PORT" => Some("12345".to_owned()),
            "NAME" => Some("$PORT".to_owned()),
            _ => None,
        };
        let text = "# $PORT\n  port: ${PORT}\nname=$NAME-x $$PORT $ ${ ${A} $B ${PORT\n$PORT";
        assert_eq!(expand(text, lookup), "# $PORT\n  port: 12345\nname=$PORT-x $12345 $ ${ ${A} $B ${PORT\n12345");
    }
}
