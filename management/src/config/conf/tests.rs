use super::super::fuzzing;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn read(text: &str) -> Value {
    values(parse(text).unwrap_or_else(|complaint| panic!("{}", complaint.within(text))))
}

fn values(sections: Vec<(usize, Value)>) -> Value {
    Value::List(sections.into_iter().map(|(_, value)| value).collect())
}

fn refused(text: &str) -> String {
    parse(text).expect_err("must be refused").within(text)
}

/// The same in the other form.
fn json(text: &str) -> Value {
    json::parse(text).expect("JSON")
}

#[test]
fn entities_and_comments() {
    let text = "router {\r\n  mode: interior # why\r\n id : R1\r\n} # so\r\n# no\n\nlistener{\rport: 1\n}";
    assert_eq!(read(text), json(r#"[["router", {"mode": "interior", "id": "R1"}], ["listener", {"port": "1"}]]"#));
    assert_eq!(read("\n # nothing\n"), Value::List(vec![]));
}

#[test]
fn texts_have_no_quotes_but_escapes() {
    let text = "log {\n a: 'x', {y} : z,\n b: \\u0041\\t\\\"\\\\/\n c:x#y\n d: $HOME ${A}*^~`|<>=\n c: z\n}\n";
    let expected = r#"[["log", {"a": "'x', {y} : z,", "b": "A\t\"\\/", "c": "z", "d": "$HOME ${A}*^~`|<>="}]]"#;
    assert_eq!(read(text), json(expected));
}

#[test]
fn some_texts_hold_the_sign_of_comments() {
    let text = "address {\n pattern: a/#  # no\n bindingKey: # b\n hostname: #.c{\n prefix: d/# no\n}\n";
    let expected = r##"[["address", {"pattern": "a/#", "bindingKey": "#", "hostname": "#.c{", "prefix": "d/"}]]"##;
    assert_eq!(read(text), json(expected));
}

#[test]
fn json_attributes() {
    let text = "vhost {\n groups: {\n # no\n \"$default\": {\n \"users\": \"*}\", # no\n \"n\": [1, true,],\n },\n },\n a: b\n}";
    assert_eq!(read(text), json(r#"[["vhost", {"groups": {"$default": {"users": "*}", "n": [1, true]}}, "a": "b"}]]"#));
    let text = "listener {\nopenProperties: {\"a\": [1,]} # no\n}";
    assert_eq!(read(text), json(r#"[["listener", {"openProperties": {"a": [1]}}]]"#));
}

#[test]
fn blocks_in_blocks() {
    let text = "vhost {\n more : {\n $d: 1\n $$e: { # f\n }\n }\n groups: text\n}";
    assert_eq!(read(text), json(r#"[["vhost", {"more": {"$d": "1", "$$e": {}}, "groups": "text"}]]"#));
}

#[test]
fn what_is_written_as_in_the_json_form_is_read_as_such() {
    let text = "router {\n \"id\": \"a#\",\n mode: edge\n \"n\": 1\n}\n[\"log\", {\n \"module\": \"AGENT\"}],\n";
    assert_eq!(
        read(text),
        json(r##"[["router", {"id": "a#", "mode": "edge", "n": 1}], ["log", {"module": "AGENT"}]]"##)
    );
}

#[test]
fn complaints_tell_what_was_expected_and_where() {
    const ENTITY: &str = "Expecting an entity, as in 'listener {'";
    const MEMBER: &str = "Expecting an attribute, as in 'port: 5672', or '}'";
    const END: &str = "Expecting the end of the line";
    for (text, what, place) in [
        ("mode: interior\n", "Expecting '{'", "line 1 column 5 (char 4)"),
        ("router", "Expecting '{'", "line 1 column 7 (char 6)"),
        ("# a\n  = {\n", ENTITY, "line 2 column 3 (char 6)"),
        ("router {\n}\n}\n", ENTITY, "line 3 column 1 (char 11)"),
        ("router { mode: interior }", END, "line 1 column 10 (char 9)"),
        ("router {\n} listener {\n}", END, "line 2 column 3 (char 11)"),
        ("router {\n mode: interior\n", MEMBER, "line 3 column 1 (char 25)"),
        ("router {\n mode interior\n}", "Expecting ':'", "line 2 column 7 (char 15)"),
        ("router {\n a.b: c\n}", "Expecting ':'", "line 2 column 3 (char 11)"),
        ("router {\n = c\n}", MEMBER, "line 2 column 2 (char 10)"),
        ("router {\n \u{e9}: # c\n}", "Expecting a value", "line 2 column 5 (char 13)"),
        ("router {\n id: {a\n}", END, "line 2 column 7 (char 15)"),
        ("router {\n id: \"a\"\n}", "Expecting '\\' before '\"'", "line 2 column 6 (char 14)"),
        ("router {\n id: a\\q\n}", "Invalid \\escape", "line 2 column 7 (char 15)"),
        ("router {\n id: a\tb\n}", "Invalid control character at", "line 2 column 7 (char 15)"),
        ("vhost {\n groups: {\n\"a\" 1}\n}", "Expecting ':' delimiter", "line 3 column 5 (char 23)"),
        ("vhost {\n groups: {} x\n}", END, "line 2 column 13 (char 20)"),
    ] {
        assert_eq!(refused(text), format!("{what}: {place}"), "{text:?}");
    }
}

#[test]
fn blocks_nest_as_deep_as_json() {
    let nested = |levels: usize| format!("vhost {{\n{}{}}}\n", "a: {\n".repeat(levels), "}\n".repeat(levels));
    read(&nested(json::MAX_DEPTH - 1));
    for levels in [json::MAX_DEPTH, 100_000] {
        assert!(refused(&nested(levels)).starts_with(json::TOO_DEEP));
    }
    assert!(refused(&format!("vhost {{\n groups: {}", "{\"a\":".repeat(100_000))).starts_with(json::TOO_DEEP));
}

/// Anything that JSON has, and texts that are awkward without quotes.
fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["\\PC+", "[ #{}\":$\\\\\n\r\ta\u{e9}\u{1f600}\u{85}]*"];
    let leaf = prop_oneof![
        4 => text.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::Long),
        1 => any::<f64>().prop_filter("JSON has none", |n| n.is_finite()).prop_map(Value::Double),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            members(inner).prop_map(|members| Value::Map(json::map(members))),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(String, Value)>> {
    let name = prop_oneof![
        4 => "[$]{0,2}[a-zA-Z0-9_-]{1,8}",
        2 => prop::sample::select(vec!["pattern", "bindingKey", "hostname", "groups", "openProperties"])
            .prop_map(str::to_owned),
        1 => "\\PC*",
    ];
    vec((name, value), 0..6)
}

fn section() -> impl Strategy<Value = Value> {
    let members = members(any_value()).prop_map(|members| Value::Map(json::map(members)));
    ("[a-zA-Z0-9_-]{1,8}", members).prop_map(|(name, members)| Value::List(vec![name.into(), members]))
}

/// Lines and scraps that the syntax is made of, in any order.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "router",
        " {",
        "\n",
        "}\n",
        "a: b",
        "c:",
        " {\n",
        "# d",
        "\"e\": 1",
        ",",
        "groups: {",
        "[\"f\", {",
        "]",
        "\\u00",
        "\\\"",
        "\r",
        "$g: ",
        "\t",
        "\u{e9}",
        "pattern: #",
    ]);
    vec(prop_oneof![9 => scrap.prop_map(str::to_owned), 1 => ".*"], 0..60).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(sections in vec(section(), 0..5)) {
        let written = fuzzing::file(&sections);
        prop_assert_eq!(parse(&written).map(values), Ok(Value::List(sections)), "{}", written);
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in vec(any::<u8>(), 0..300)) {
        fuzzing::conf(&String::from_utf8_lossy(&octets));
    }

    #[test]
    fn any_scraps_are_read_or_refused(text in scraps()) {
        fuzzing::conf(&text);
        fuzzing::json(&text);
    }

    #[test]
    fn json_is_read_as_others_do(value in any_value()) {
        fuzzing::json(&fuzzing::written(&value));
    }
}
