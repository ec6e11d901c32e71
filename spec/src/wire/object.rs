//! Objects put together out of text, so that what is inside is never re-encoded.

use alloc::string::String;

/// The object `object` with further members, spelled as they stand between braces.
pub(super) fn with(object: &str, members: &str) -> String {
    // Every text here is an object's, of the sender's or of this module.
    let Some(open) = object.strip_suffix('}') else { return String::from(object) };
    let comma = if open.trim_ascii_end().ends_with('{') { "" } else { "," };
    [open, comma, members, "}"].concat()
}

/// The array of these elements.
pub(super) fn array(elements: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for element in elements {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&element);
    }
    text.push(']');
    text
}
