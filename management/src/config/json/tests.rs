use super::*;

#[test]
fn values() {
    let value = parse(r#" {"a": [1, -2.5, true, null, "x\u00e9\ud83d\ude00\n"], "b": {}, "a2": 1e3} "#).expect("JSON");
    let map = value.as_map().expect("a map");
    let list = map.get("a").and_then(Value::as_list).expect("a list");
    assert_eq!(list[..4], [Value::Long(1), Value::Double(-2.5), Value::Bool(true), Value::Null]);
    assert_eq!(list[4].as_str(), Some("x\u{e9}\u{1f600}\n"));
    assert_eq!(map.get("a2"), Some(&Value::Double(1000.0)));
}

#[test]
fn the_last_of_equal_names_wins() {
    let value = parse(r#"{"a": 1, "b": 2, "a": 3}"#).expect("JSON");
    assert_eq!(value, Value::Map(Map::new().with("a", 3_i64).with("b", 2_i64)));
}

#[test]
fn complaints_tell_the_place() {
    let complaint = |text| parse(text).expect_err("must be refused").within(text);
    assert_eq!(complaint(""), "Expecting value: line 1 column 1 (char 0)");
    assert_eq!(complaint("[1 2]"), "Expecting ',' delimiter: line 1 column 4 (char 3)");
    assert_eq!(complaint("{\n 1}"), "Expecting property name enclosed in double quotes: line 2 column 2 (char 3)");
    assert_eq!(complaint(r#"{"a" 1}"#), "Expecting ':' delimiter: line 1 column 6 (char 5)");
    assert_eq!(complaint("[] x"), "Extra data: line 1 column 4 (char 3)");
    assert_eq!(complaint("\"a\nb\""), "Invalid control character at: line 1 column 3 (char 2)");
    assert_eq!(complaint(r#""\q""#), "Invalid \\escape: line 1 column 2 (char 1)");
    assert_eq!(complaint("\"a"), "Unterminated string starting at: line 1 column 1 (char 0)");
    assert!(complaint(&"[".repeat(1000)).contains("recursion"));
}
