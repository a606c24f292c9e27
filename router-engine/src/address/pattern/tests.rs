use super::*;
use proptest::prelude::*;

fn tree(patterns: &[&'static str]) -> PatternTree<&'static str> {
    let mut tree = PatternTree::default();
    for pattern in patterns {
        assert_eq!(tree.insert(pattern, *pattern), Ok(()), "{pattern}");
    }
    tree
}

#[test]
fn prefers_literal_then_one_then_many() {
    let tree = tree(&["a.b", "a.*", "a.#", "*.b", "#", "a.*.c", "a.b.#"]);
    for (address, want) in [
        ("a.b", "a.b"),
        ("a/b", "a.b"),
        ("a.x", "a.*"),
        ("a", "a.#"),
        ("a.x.y", "a.#"),
        ("a.x.c", "a.*.c"),
        // Literal a, literal b come first, although a.*.c has more literal tokens.
        ("a.b.c", "a.b.#"),
        ("x.b", "*.b"),
        ("x", "#"),
        ("", "#"),
        ("/a/b", "a.b"),
        ("a/b/", "a.b"),
    ] {
        assert_eq!(tree.best_match(address), Some(&want), "{address}");
    }
}

#[test]
fn backtracks() {
    let tree = tree(&["a.b.c", "a.*.d", "#.e"]);
    assert_eq!(tree.best_match("a.b.d"), Some(&"a.*.d"));
    assert_eq!(tree.best_match("a.b.c.e"), Some(&"#.e"));
    assert_eq!(tree.best_match("a.b.x"), None);
}

#[test]
fn many_in_the_middle() {
    let tree = tree(&["a.#.z", "a.#.y.#.z", "#.m"]);
    assert_eq!(tree.best_match("a.z"), Some(&"a.#.z"));
    assert_eq!(tree.best_match("a.b.c.z"), Some(&"a.#.z"));
    assert_eq!(tree.best_match("a.y.z"), Some(&"a.#.y.#.z"));
    assert_eq!(tree.best_match("a.b.z.c"), None);
    assert_eq!(tree.best_match("m"), Some(&"#.m"));
}

#[test]
fn a_prefix_matches_on_token_boundaries() {
    let pattern = from_attributes(Some("/p/q."), None).expect("valid");
    assert_eq!(pattern, "p/q/#");
    let mut tree = PatternTree::default();
    assert_eq!(tree.insert(&pattern, 1), Ok(()));
    assert_eq!(tree.best_match("p.q"), Some(&1));
    assert_eq!(tree.best_match("p/q/r"), Some(&1));
    assert_eq!(tree.best_match("p/qfoo"), None);
}

#[test]
fn empty_inner_tokens_count() {
    let tree = tree(&["a..b", "a.*"]);
    assert_eq!(tree.best_match("a//b"), Some(&"a..b"));
    assert_eq!(tree.best_match("a.b"), Some(&"a.*"));
    assert_eq!(tree.best_match("a//"), Some(&"a.*"));
    assert_eq!(tree.best_match("a"), None);
}

#[test]
fn wildcards_inside_a_token_are_literal() {
    let tree = tree(&["a*", "b.#x"]);
    assert_eq!(tree.best_match("a*"), Some(&"a*"));
    assert_eq!(tree.best_match("ab"), None);
    assert_eq!(tree.best_match("b.#x"), Some(&"b.#x"));
}

#[test]
fn normalisation() {
    for (pattern, want) in [
        ("#.#", "#"),
        ("#.*", "*.#"),
        ("#.*.#.*", "*.*.#"),
        ("a.#.#.#.b", "a.#.b"),
        ("#/*/a", "*.#.a"),
        ("*.#", "*.#"),
        (".a.", "a"),
    ] {
        assert_eq!(normalised(pattern).join("."), want, "{pattern}");
    }
}

#[test]
fn duplicates_and_removal() {
    let mut tree = tree(&["a.#.*", "a.b"]);
    assert_eq!(tree.insert("a/*/#", "again"), Err("again"));
    assert_eq!(tree.insert("/a/b/", "again"), Err("again"));
    assert_eq!(tree.get("a.*.#"), Some(&"a.#.*"));
    assert_eq!(tree.len(), 2);
    assert_eq!(tree.remove("a"), None);
    assert_eq!(tree.remove("a.b.c"), None);
    assert_eq!(tree.remove("a/b"), Some("a.b"));
    assert_eq!(tree.best_match("a.b"), Some(&"a.#.*"));
    assert_eq!(tree.remove("a/*/#"), Some("a.#.*"));
    assert!(tree.is_empty());
    assert!(tree.root.is_unused());
}

#[test]
fn many_wildcards_in_a_row_do_not_multiply() {
    let mut tree = PatternTree::default();
    for pattern in ["#.a.#.b.#.c.#.d", "#.a.#.a.#.a.#.a.#.b.#.x"] {
        assert_eq!(tree.insert(pattern, pattern), Ok(()));
    }
    // As long as fits into a frame: with a search for each way to take the wildcards this would not end.
    let long = "a.b.c.".repeat(2700);
    assert_eq!(tree.best_match(&long), None);
    assert_eq!(tree.best_match(&(long + "d")), Some(&"#.a.#.b.#.c.#.d"));
}

#[test]
fn attribute_errors_have_the_texts_of_the_protocol() {
    let text = |prefix, pattern| from_attributes(prefix, pattern).expect_err("refused").to_string();
    assert_eq!(text(None, None), "Either a 'prefix' or 'pattern' attribute must be provided");
    assert_eq!(text(Some("a"), Some("b")), "Cannot specify both a 'prefix' and a 'pattern' attribute");
    assert_eq!(text(Some(""), None), "Prefix must be a non-empty string type");
    assert_eq!(text(None, Some("")), "Pattern must be a non-empty string type");
    assert_eq!(text(Some("./."), None), "Prefix invalid - no tokens");
    assert_eq!(text(None, Some("/")), "Pattern invalid - no tokens");
    assert_eq!(from_attributes(None, Some(".a/*.")), Ok("a/*".to_owned()));
}

/// How good each token's match was, in the order of preference.
type Rank = Vec<u8>;

/// All the ways in which `pattern` matches `address`, naively, best first by token.
fn ways(pattern: &[&str], address: &[&str]) -> Vec<Rank> {
    let with = |step: u8, rest: Vec<Rank>| {
        rest.into_iter().map(move |mut rank| {
            rank.insert(0, step);
            rank
        })
    };
    match (pattern.split_first(), address.split_first()) {
        (None, None) => vec![vec![0]],
        (None, Some(_)) | (Some(_), None) if pattern.first() != Some(&MANY) => vec![],
        (Some((&MANY, rest)), _) => {
            let mut all = Vec::new();
            // Fewer tokens are tried first; the end of the pattern comes after anything longer.
            for taken in 0..=address.len() {
                let step = if rest.is_empty() { u8::MAX } else { 10 + u8::try_from(taken).unwrap_or(200) };
                all.extend(ways(rest, &address[taken..]).into_iter().map(|mut rank| {
                    rank.insert(0, step);
                    rank.insert(0, 3);
                    rank
                }));
            }
            all
        }
        (Some((&ONE, rest)), Some((_, left))) => with(2, ways(rest, left)).collect(),
        (Some((token, rest)), Some((first, left))) if token == first => with(1, ways(rest, left)).collect(),
        _ => vec![],
    }
}

fn naive<'a>(patterns: &'a [String], address: &str) -> Option<&'a String> {
    let address: Vec<&str> = if address.is_empty() { vec![] } else { address.split(SEPARATORS).collect() };
    patterns
        .iter()
        .filter_map(|p| ways(&p.split('.').collect::<Vec<_>>(), &address).into_iter().min().map(|rank| (rank, p)))
        .min()
        .map(|(_, p)| p)
}

fn words(alphabet: &'static [&'static str], min: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(alphabet), min..6).prop_map(|tokens| tokens.join("."))
}

proptest! {
    #[test]
    fn agrees_with_a_naive_matcher(
        patterns in proptest::collection::vec(words(&["a", "b", "c", "*", "#"], 1), 1..8),
        addresses in proptest::collection::vec(words(&["a", "b", "c", "d"], 0), 1..8),
        remove in 0_usize..8,
    ) {
        let mut tree = PatternTree::default();
        let mut kept: Vec<String> = Vec::new();
        for pattern in patterns {
            let pattern = normalised(&pattern).join(".");
            let fresh = !kept.contains(&pattern);
            prop_assert_eq!(tree.insert(&pattern, pattern.clone()).is_ok(), fresh);
            if fresh {
                kept.push(pattern);
            }
        }
        if remove < kept.len() {
            let pattern = kept.remove(remove);
            prop_assert_eq!(tree.remove(&pattern), Some(pattern));
        }
        for address in addresses {
            prop_assert_eq!(tree.best_match(&address), naive(&kept, &address), "{}", address);
            let slashes = address.replace('.', "/");
            prop_assert_eq!(tree.best_match(&slashes), naive(&kept, &address), "{}", slashes);
        }
    }
}
