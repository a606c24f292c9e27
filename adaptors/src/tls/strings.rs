//! The strings in names: certificates have them in several encodings.

use std::borrow::Cow;
use x509_parser::asn1_rs::{Any, Class, Tag};

/// The text of a string in a name, as OpenSSL understands it; `None` when it is no string, or damaged.
pub(super) fn text<'a>(value: &Any<'a>) -> Option<Cow<'a, str>> {
    if value.class() != Class::Universal {
        return None;
    }
    match value.tag() {
        Tag::Utf8String => std::str::from_utf8(value.data).ok().map(Cow::Borrowed),
        // One octet is one of the first 256 characters, even where the standard has fewer.
        Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::NumericString | Tag::TeletexString => {
            Some(match std::str::from_utf8(value.data) {
                Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(value.data.iter().map(|&octet| char::from(octet)).collect()),
            })
        }
        Tag::BmpString => wide::<2>(value.data).map(Cow::Owned),
        Tag::UniversalString => wide::<4>(value.data).map(Cow::Owned),
        _ => None,
    }
}

/// Characters of so many octets each.
fn wide<const N: usize>(data: &[u8]) -> Option<String> {
    let (characters, rest) = data.as_chunks::<N>();
    let number = |octets: &[u8; N]| octets.iter().fold(0, |number, &octet| number << 8 | u32::from(octet));
    rest.is_empty().then(|| characters.iter().map(|octets| char::from_u32(number(octets))).collect())?
}

/// Whether two strings with the same text are the same in a name, whatever their encodings.
pub(super) fn is_comparable(value: &Any<'_>) -> bool {
    // Numeric strings are none of them for OpenSSL.
    value.tag() != Tag::NumericString
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        for (tag, octets, expected) in [
            (Tag::Utf8String, "ö".as_bytes(), Some("ö")),
            (Tag::Utf8String, b"\xf6", None),
            (Tag::PrintableString, b"a", Some("a")),
            (Tag::TeletexString, b"\xf6", Some("ö")),
            (Tag::Ia5String, b"a\xf6", Some("aö")),
            (Tag::BmpString, b"\0a\0\xf6", Some("aö")),
            (Tag::BmpString, b"\0a\0", None),
            (Tag::BmpString, b"\xd8\0", None),
            (Tag::UniversalString, b"\0\0\0a", Some("a")),
            (Tag::UniversalString, b"\xff\0\0a", None),
            (Tag::OctetString, b"a", None),
        ] {
            assert_eq!(text(&Any::from_tag_and_data(tag, octets)).as_deref(), expected, "{tag:?} {octets:?}");
        }
    }
}
