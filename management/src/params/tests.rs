use super::*;
use amqp_core::value::Map;

#[test]
fn addresses() {
    let refused = |body: Map| AddressParams::from_body(None, &body).expect_err("must be refused");
    assert_eq!(refused(Map::new()), "Either a 'prefix' or 'pattern' attribute must be provided");
    assert_eq!(
        refused(Map::new().with("prefix", "a").with("pattern", "b")),
        "Cannot specify both a 'prefix' and a 'pattern' attribute"
    );
    assert_eq!(refused(Map::new().with("prefix", "")), "Prefix must be a non-empty string type");
    assert_eq!(refused(Map::new().with("pattern", "./.")), "Pattern invalid - no tokens");
    assert_eq!(
        refused(Map::new().with("pattern", "a").with("priority", 10)),
        "Priority value, if present, must be between 0 and QDR_MAX_PRIORITY"
    );
    let params = AddressParams::from_body(None, &Map::new().with("prefix", "/a.b/")).expect("valid");
    assert_eq!((params.pattern.as_str(), params.prefix(), params.priority), ("a.b/#", Some("a.b"), -1));
}

#[test]
fn auto_links() {
    let refused = |body: Map| AutoLinkParams::from_body(None, &body).expect_err("must be refused");
    assert_eq!(refused(Map::new()), "direction field is mandatory");
    assert_eq!(refused(Map::new().with("direction", "up")), "Invalid value for 'direction'");
    assert_eq!(refused(Map::new().with("direction", "out")), "address field is only optional if direction is incoming");
    assert_eq!(
        refused(Map::new().with("connection", "a").with("containerId", "b")),
        "Both connection and containerId cannot be specified. Specify only one"
    );
}
