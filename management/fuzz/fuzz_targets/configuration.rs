//! Configuration files in both forms: whatever they hold, they are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use management::config::{env, parse};

fuzz_target!(|input: (bool, &str)| {
    let (is_json, text) = input;
    let text = env::expand(text, |name| (name.len() % 2 == 0).then(|| name.to_owned()));
    if let Ok(entities) = parse(&text, is_json) {
        assert!(!entities.is_empty());
    }
});
