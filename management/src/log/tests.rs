use super::*;
use std::time::Duration;

fn params(module: LogModule) -> LogParams {
    LogParams { module, enable: None, include_timestamp: None, include_source: None, output_file: None }
}

#[test]
fn levels_parse() {
    let parse = |text| Enable::parse(text).map_err(|e| e.text);
    assert_eq!(parse("info+"), Ok(Enable::Mask(0x1e)));
    assert_eq!(parse("Debug;ERR crit"), Ok(Enable::Mask(0x19)));
    assert_eq!(parse(""), Ok(Enable::Mask(0)));
    assert_eq!(parse("none"), Ok(Enable::Mask(0)));
    assert_eq!(parse("DEFAULT"), Ok(Enable::Default));
    assert_eq!(parse("d"), Ok(Enable::Default));
    let refusal =
        "'info,foo' is not a valid log level. Should be one of {none, debug, info, warning, error, critical}.";
    assert_eq!(parse("info,foo"), Err(refusal.to_owned()));
}

#[test]
fn time_stamps_take_two_passes() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042);
    let format = |pattern| {
        let mut out = String::new();
        TimeFormat::new(pattern, true).format(at, &mut out);
        out
    };
    assert_eq!(format(None), "2023-11-14 22:13:20.000042 +0000");
    assert_eq!(format(Some("%H %%3u|%%-3u|%%%%|%%q")), "22  42|42 |%|%q");
    assert_eq!(format(Some("%!")), "%!");
}

#[test]
fn modules_follow_the_default_until_they_are_configured() {
    let logger = logger();
    let dir = std::env::temp_dir().join(format!("skrouterd-log-test-{}", std::process::id()));
    let file = dir.with_extension("log");
    let name = file.display().to_string();
    let mut http = params(LogModule::Http);
    http.enable = Some("info+".to_owned());
    http.include_source = Some(true);
    http.include_timestamp = Some(false);
    http.output_file = Some(name.clone());
    logger.configure(&http).expect("valid");
    router_engine::log!(LogModule::Http, Level::Info, "one {}", 1);
    router_engine::log!(LogModule::Http, Level::Debug, "not this");
    http.include_source = None;
    logger.configure(&http).expect("valid");
    router_engine::log!(LogModule::Http, Level::Error, "two");
    logger.flush();
    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::remove_file(&file).expect("removable");
    let mut lines = text.lines();
    let first = lines.next().expect("a line");
    assert!(first.starts_with("HTTP (info) one 1 (") && first.contains("tests.rs:"), "{first}");
    assert_eq!(lines.next(), Some("HTTP (error) two"));
    assert_eq!(lines.next(), None);
    assert!(logger.recent(0).iter().any(|e| e.module == LogModule::Http && e.text == "two"));

    http.output_file = Some("/nowhere/x".to_owned());
    let error = logger.configure(&http).expect_err("no such directory");
    assert_eq!(error.to_string(), "Configuration: Failed to open log file '/nowhere/x'");
    logger.configure(&params(LogModule::Http)).expect("valid");
}
