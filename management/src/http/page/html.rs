//! The text of the page. It is one document that needs nothing else: style and script are within, and its policy names them
//! by their digests.

use adaptors::http::{Document, fingerprint};
use bytes::Bytes;
use std::sync::OnceLock;

const FRAME: &str = include_str!("index.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page.
pub(super) fn page() -> Document {
    static PAGE: OnceLock<Document> = OnceLock::new();
    PAGE.get_or_init(composed).clone()
}

fn composed() -> Document {
    let text = FRAME.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    let (style, script) = (fingerprint(STYLE), fingerprint(SCRIPT));
    // Names of peers cannot become markup, whatever the script does.
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    );
    Document {
        version: Some(fingerprint(&text)),
        body: Bytes::from(text),
        content_type: "text/html; charset=utf-8",
        policy: Some(policy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_are_within_as_they_are() {
        let page = page();
        let text = std::str::from_utf8(&page.body).expect("text");
        assert!(text.contains(&format!("<style>{STYLE}</style>")));
        assert!(text.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(!text.contains("{{"), "a place is left");
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--") && !text.contains('\r'), "it ends early");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_no_text_becomes_markup() {
        for text in [FRAME, STYLE, SCRIPT] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for word in ["http:", "https:", "//cdn", "@import", "url("] {
                assert!(!text.contains(word), "{word}");
            }
        }
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        assert!(!FRAME.contains(" style=") && !FRAME.contains(" onclick"), "the policy forbids it");
    }
}
