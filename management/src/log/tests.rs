use super::format::Format;
use super::*;
use router_engine::log::{Observer, Record};
use std::time::{Duration, SystemTime};
use tracing::subscriber::with_default;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

fn params(module: LogModule) -> LogParams {
    LogParams { module, enable: None, include_timestamp: None, include_source: None, output_file: None, format: None }
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
    let at = then();
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

/// 2023-11-14 22:13:20.000042 UTC.
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042)
}

/// A log of its own, with times in UTC.
fn own_logger() -> &'static Logger {
    let logger = Box::leak(Box::new(Logger::new()));
    logger.set_time(TimeFormat::new(None, true));
    logger
}

/// The record of an event whose text is that.
fn record(text: &str) -> Record {
    let (kept, records) = std::sync::mpsc::channel();
    let keep = move |record: &Record| kept.send(record.clone()).expect("kept");
    with_default(Observer(keep), || {
        router_engine::emit!(LogModule::Server, Level::Warning, conn = 1_u32, link = 2_u32, "{text}");
    });
    let mut record = records.recv().expect("an event");
    (record.file, record.line) = ("src/x.rs", 7);
    record
}

fn line(format: Format, text: &str, timestamp: bool, source: bool) -> String {
    let destination = Destination { output: Output::stderr(), format: Format::Text, timestamp, source };
    let record = record(text);
    match format {
        Format::Text => text::line(own_logger(), &record, &Entry::new(&record, then()).text, then(), &destination),
        Format::Json => json::line(&record, then(), &destination),
    }
}

#[test]
fn lines_of_text_have_the_known_format() {
    let time = "2023-11-14 22:13:20.000042 +0000";
    let with_all = format!("{time} SERVER (warning) [C1][L2] lost \"it\" (src/x.rs:7)\n");
    assert_eq!(line(Format::Text, "lost \"it\"", true, true), with_all);
    assert_eq!(
        line(Format::Text, "a\nb\\ \u{7}\u{e9}", false, false),
        "SERVER (warning) [C1][L2] a\nb\\ \u{7}\u{e9}\n"
    );
    // 2047 octets with the prefix, less what would cut a character.
    let long = line(Format::Text, &"\u{20ac}".repeat(1000), false, true);
    assert_eq!(long, format!("SERVER (warning) [C1][L2] {} (src/x.rs:7)\n", "\u{20ac}".repeat(679)));
}

#[test]
fn lines_of_json_are_objects() {
    let common = r#""module":"SERVER","level":"warning","message""#;
    let all = format!(
        r#"{{"timestamp":"2023-11-14T22:13:20.000042Z",{common}:"it","conn":1,"link":2,"file":"src/x.rs","line":7}}"#
    );
    assert_eq!(line(Format::Json, "it", true, true), all + "\n");
    let escaped = line(Format::Json, "\"a\"\\\n\r\t\u{8}\u{0}\u{1b}[1m\u{7f}\u{e9}\u{2028}\u{1f980}", false, false);
    let expected = r#""\"a\"\\\n\r\t\b\u0000\u001b[1m"#.to_owned() + "\u{7f}\u{e9}\u{2028}\u{1f980}\"";
    assert_eq!(escaped, format!("{{{common}:{expected},\"conn\":1,\"link\":2}}\n"));
}

#[test]
fn lines_of_json_tell_every_text() {
    let octets: Vec<u8> = (0..=u8::MAX).chain(*b"\xe2\x82").collect();
    let told = |text: &str| {
        let line = line(Format::Json, text, true, true);
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        object["message"].as_str().expect("a message").to_owned()
    };
    let lossy = String::from_utf8_lossy(&octets);
    assert_eq!(told(&lossy), lossy);
    assert_eq!(told(&"\u{20ac}\"".repeat(1000)), "\u{20ac}\"".repeat(511) + "\u{20ac}");
}

#[test]
fn last_words_have_the_format_of_their_output() {
    let line = json::notice(then(), Level::Critical, "thread 'x' panicked:\nwhy");
    let all = r#"{"timestamp":"2023-11-14T22:13:20.000042Z","module":"ROUTER","level":"critical","message":"thread 'x' panicked:\nwhy"}"#;
    assert_eq!(line, format!("{all}\n"));
}

/// Has the modules write to files of the formats, calls `logging` under the layers, and returns what is in the files.
fn written(logger: &'static Logger, outputs: [(LogModule, Format); 2], logging: impl FnOnce()) -> [String; 2] {
    let files = outputs.map(|(module, format)| {
        let name = format!("skrouterd-layers-{}-{}-{format:?}.log", std::process::id(), module.name());
        let file = std::env::temp_dir().join(name);
        let output = Some(Output::formatted(&file.display().to_string(), format));
        logger.set(module, Module { timestamp: Some(false), output, ..Module::default() });
        file
    });
    logger.publish_masks();
    logging();
    logger.flush();
    files.map(|file| {
        let text = std::fs::read_to_string(&file).expect("written");
        std::fs::remove_file(&file).expect("removable");
        text
    })
}

#[test]
fn each_output_gets_its_own_format_and_the_memory_everything() {
    let logger = own_logger();
    let outputs = [(LogModule::TcpAdaptor, Format::Text), (LogModule::HttpAdaptor, Format::Json)];
    let layers = layer::all(logger);
    let [text, json] = written(logger, outputs, || {
        with_default(layers, || {
            for (module, _) in outputs {
                router_engine::log!(module, Level::Info, conn = 5_u32, "one\ntwo");
            }
            tracing::error!(module = "TCP_ADAPTOR", "of a library");
            router_engine::log!(LogModule::HttpAdaptor, Level::Critical, "three");
        });
    });
    assert_eq!(text, "TCP_ADAPTOR (info) [C5] one\ntwo\n");
    let expected = [
        r#"{"module":"HTTP_ADAPTOR","level":"info","message":"one\ntwo","conn":5}"#,
        r#"{"module":"HTTP_ADAPTOR","level":"critical","message":"three"}"#,
    ];
    assert_eq!(json.lines().collect::<Vec<_>>(), expected);
    let texts: Vec<String> = logger.recent(0).into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["[C5] one\ntwo", "[C5] one\ntwo", "three"]);
    assert_eq!(logger.recent(1)[0].text, "three");
}

#[test]
fn only_this_crate_builds_layers() {
    for manifest in [include_str!("../../../router-engine/Cargo.toml"), include_str!("../../../adaptors/Cargo.toml")] {
        assert!(!manifest.contains("tracing-subscriber"), "{manifest}");
    }
}

/// A layer with a fault.
struct Faulty;

impl<S: tracing::Subscriber> Layer<S> for Faulty {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        panic!("a layer");
    }
}

#[test]
fn a_layer_that_panics_costs_who_logs_nothing_and_other_layers_no_line() {
    let logger = own_logger();
    let outputs = [(LogModule::AddressWatch, Format::Text), (LogModule::FlowLog, Format::Json)];
    let layers = layer::all(logger).with(Faulty);
    let [text, json] = written(logger, outputs, || {
        with_default(layers, || {
            for text in ["one", "two"] {
                router_engine::log!(LogModule::AddressWatch, Level::Info, "{text}");
                router_engine::log!(LogModule::FlowLog, Level::Error, "{text}");
            }
        });
    });
    assert_eq!(text, "ADDRESS_WATCH (info) one\nADDRESS_WATCH (info) two\n");
    assert_eq!(json.lines().count(), 2);
}

/// A place for an output of a test.
fn place(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("skrouterd-log-{}-{name}", std::process::id()))
}

#[test]
fn an_event_makes_one_line_while_outputs_change() {
    const EVENTS: usize = 20_000;
    let (logger, module) = (own_logger(), LogModule::Policy);
    let outputs = [Format::Text, Format::Json].map(|format| {
        let file = place(&format!("{format:?}"));
        (Output::formatted(&file.display().to_string(), format), file)
    });
    let write_to = |output| logger.set(module, Module { output: Some(Arc::clone(output)), ..Module::default() });
    write_to(&outputs[0].0);
    logger.publish_masks();
    std::thread::scope(|scope| {
        let logging = scope.spawn(|| {
            with_default(layer::all(logger), || {
                (0..EVENTS).for_each(|number| router_engine::log!(module, Level::Info, "{number}"));
            });
        });
        while !logging.is_finished() {
            outputs.iter().for_each(|(output, _)| write_to(output));
        }
    });
    logger.flush();
    let lines = outputs.map(|(_, file)| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        text.lines().count()
    });
    assert_eq!(lines.iter().sum::<usize>(), EVENTS, "{lines:?}");
}

#[test]
fn the_end_of_the_process_waits_for_outputs_that_were_replaced() {
    let (logger, module) = (own_logger(), LogModule::Container);
    let pipe = place("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let output = |name: &str| Some(name.to_owned());
    logger
        .configure(&LogParams { output_file: output(pipe.to_str().expect("text")), ..params(module) })
        .expect("valid");
    with_default(layer::all(logger), || router_engine::log!(module, Level::Info, "the last line"));
    logger.configure(&params(module)).expect("valid");
    let begun = Instant::now();
    logger.flush();
    assert!(begun.elapsed() >= LAST_LINES, "there is nobody who reads it yet");
    let text = std::fs::read_to_string(&pipe).expect("readable");
    assert!(text.ends_with("CONTAINER (info) the last line\n"), "{text}");
    let begun = Instant::now();
    logger.flush();
    assert!(begun.elapsed() < LAST_LINES, "there is nothing left to wait for");
    std::fs::remove_file(&pipe).expect("removable");
}
