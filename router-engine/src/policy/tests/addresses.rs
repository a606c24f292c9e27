//! Addresses that links may name, against rules that are followed literally.

use super::super::*;
use proptest::prelude::*;
use proptest::sample::select;

const USER: &str = "${user}";

fn rules(mut rules: AddressRules, items: &[&str]) -> AddressRules {
    items.iter().for_each(|item| rules.add(item).expect("makes sense"));
    rules
}

#[track_caller]
fn check(rules: &AddressRules, user: &str, allowed: &[&str], denied: &[&str]) {
    allowed.iter().for_each(|address| assert!(rules.matches(user, address), "{address:?} is allowed to {user:?}"));
    denied.iter().for_each(|address| assert!(!rules.matches(user, address), "{address:?} is not allowed to {user:?}"));
}

#[test]
fn nobody_may_name_what_is_not_listed() {
    for none in [AddressRules::literals(), AddressRules::patterns(), rules(AddressRules::literals(), &[""])] {
        check(&none, "u", &[], &["", "a", "u"]);
    }
}

#[test]
fn literals() {
    let list = rules(AddressRules::literals(), &["a", "b.*", "tmp-${user}", "${user}/in", "x-${user}-*"]);
    let allowed = ["a", "b.", "b.c.d", "tmp-bob", "bob/in", "x-bob-", "x-bob-1"];
    check(&list, "bob", &allowed, &["", "aa", "b", "tmp-bobby", "tmp-", "bob/inn", "x-bob", "x-eve-1", "tmp-${user}"]);
    check(&rules(AddressRules::literals(), &["*"]), "", &["a", "*"], &[""]);
    // A name says nothing of how much may follow it.
    check(&rules(AddressRules::literals(), &["q.${user}"]), "*", &["q.*"], &["q.a"]);
    check(&rules(AddressRules::literals(), &["q.${user}"]), "", &["q."], &["q", "q.a"]);
}

#[test]
fn patterns() {
    let list = rules(AddressRules::patterns(), &["a/*/b", "${user}/#", "x/${user}"]);
    let allowed = ["a/x/b", "a.x.b", "anonymous", "anonymous/z/y", "anonymous.z", "x/anonymous"];
    let denied = ["a/b", "anonymousX/z", "xanonymous", "x/anonymous/y", "${user}/z", "x/${user}", ""];
    check(&list, "anonymous", &allowed, &denied);
    check(&list, "a.b/c", &["a.b/c", "a.b/c/d", "x.a.b/c"], &["a", "a.b", "a.b.c", "b/c"]);
}

#[test]
fn rules_that_make_no_sense() {
    let twice = "${user}.${user}";
    assert_eq!(AddressRules::literals().add(twice), Err(AddressError::TwoUsers));
    assert_eq!(AddressRules::patterns().add(twice), Err(AddressError::TwoUsers));
    assert_eq!(AddressRules::patterns().add("a/${user}/b"), Err(AddressError::UserWithin));
    assert_eq!(AddressRules::literals().add("a/${user}/b"), Ok(()));
}

/// A list, followed literally.
fn literal_admits(items: &[String], user: &str, address: &str) -> bool {
    items.iter().any(|item| match item.strip_suffix('*') {
        Some(text) => address.starts_with(&text.replace(USER, user)),
        None => *address == item.replace(USER, user),
    })
}

fn tokens(text: &str) -> Vec<&str> {
    if text.is_empty() {
        return Vec::new();
    }
    // One separator at the end ends the last token, and begins none.
    text.strip_suffix(['.', '/']).unwrap_or(text).split(['.', '/']).collect()
}

fn match_tokens(pattern: &[&str], address: &[&str]) -> bool {
    match (pattern.split_first(), address.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((&"#", pattern)), rest) => {
            match_tokens(pattern, address)
                || rest.is_some_and(|(_, rest)| match_tokens(&[&["#"], pattern].concat(), rest))
        }
        (Some((&"*", pattern)), Some((_, rest))) => match_tokens(pattern, rest),
        (Some((token, pattern)), Some((first, rest))) => token == first && match_tokens(pattern, rest),
        (Some(_), None) => false,
    }
}

/// Patterns, followed literally, where the name of the user is not empty.
fn pattern_admits(items: &[String], user: &str, address: &str) -> bool {
    let is_separator = |c: Option<char>| matches!(c, Some('.' | '/'));
    items.iter().any(|item| {
        if let Some(pattern) = item.strip_prefix(USER) {
            let rest = address.strip_prefix(user).filter(|rest| rest.is_empty() || is_separator(rest.chars().next()));
            rest.is_some_and(|rest| {
                let behind = rest.get(1..).unwrap_or_default();
                match_tokens(&tokens(pattern.get(1..).unwrap_or_default()), &tokens(behind))
            })
        } else if let Some(pattern) = item.strip_suffix(USER) {
            let front = address.strip_suffix(user).filter(|front| is_separator(front.chars().last()));
            front.is_some_and(|front| match_tokens(&tokens(pattern), &tokens(front.trim_start_matches(['.', '/']))))
        } else {
            match_tokens(&tokens(item), &tokens(address.trim_start_matches(['.', '/'])))
        }
    })
}

fn pieces(of: &'static [&'static str], max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(select(of), 1..=max).prop_map(|pieces| pieces.concat())
}

/// Tokens with separators between them.
fn path(of: &'static [&'static str], max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec((select(of), select(&[".", "/"][..])), 1..=max).prop_map(|tokens| {
        let text: String = tokens.iter().flat_map(|(token, separator)| [*token, *separator]).collect();
        text[..text.len() - 1].to_owned()
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let plain = || path(&["a", "b", "*", "#"], 4);
    let separator = || select(&[".", "/"][..]);
    prop_oneof![
        plain(),
        Just(USER.to_owned()),
        (separator(), plain()).prop_map(|(separator, rest)| format!("{USER}{separator}{rest}")),
        (plain(), separator()).prop_map(|(front, separator)| format!("{front}{separator}{USER}")),
    ]
}

fn address(user: String) -> impl Strategy<Value = String> {
    prop_oneof![
        path(&["a", "b", "u"], 5),
        pieces(&["a", "b", "u", ".", "/", "*"], 6),
        (pieces(&["a", ".", "/"], 2), pieces(&["b", ".", "/"], 2)).prop_map(move |(front, rest)| [
            front,
            user.clone(),
            rest
        ]
        .concat()),
    ]
}

fn case(item: impl Strategy<Value = String>) -> impl Strategy<Value = (Vec<String>, String, String)> {
    let users = &["u", "a", "a.b", "b/a", "u*"][..];
    (proptest::collection::vec(item, 0..5), select(users)).prop_flat_map(|(items, user)| {
        let user = user.to_owned();
        (Just(items), Just(user.clone()), address(user))
    })
}

fn literal() -> impl Strategy<Value = String> {
    let twice = |item: &String| item.matches(USER).count() < 2;
    pieces(&["a", "b", ".", "/", "*", USER], 4).prop_filter("one user", twice)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_followed_literally((items, user, address) in case(literal())) {
        let list: Vec<_> = items.iter().map(String::as_str).collect();
        let admits = rules(AddressRules::literals(), &list).matches(&user, &address);
        prop_assert_eq!(admits, literal_admits(&items, &user, &address));
    }

    #[test]
    fn patterns_are_followed_literally((items, user, address) in case(pattern())) {
        let list: Vec<_> = items.iter().map(String::as_str).collect();
        let admits = rules(AddressRules::patterns(), &list).matches(&user, &address);
        prop_assert_eq!(admits, pattern_admits(&items, &user, &address));
    }
}

#[test]
fn literal_rules_may_begin_as_addresses_may() {
    let list = rules(AddressRules::literals(), &["/topic/*", "amqp://h/q", "amqp:/to-${user}", "x:/*"]);
    for address in ["/topic/a", "amqp://h/q", "amqp:/to-u"] {
        assert!(list.admit("u", address), "{address}");
    }
    for address in ["topic/a", "q", "/q", "amqp://g/q", "/topic", "amqp:/to-v", "amqp:/topic/a", "x:/secret", "secret"]
    {
        assert!(!list.admit("u", address), "{address}");
    }
}

#[test]
fn a_scheme_or_a_host_leads_nowhere_else() {
    for (mut rules, item) in [(AddressRules::literals(), "public/*"), (AddressRules::patterns(), "public/#")] {
        rules.add(item).expect("valid");
        assert!(rules.admit("u", "public/x"));
        for address in ["public/x:/secret", "//public/secret", "public/:/_topo/0/R2/$management"] {
            assert!(!rules.admit("u", address), "{item} {address}");
        }
        assert!(rules.admit("u", "public/x:/public/y"));
    }
}
