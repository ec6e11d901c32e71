//! Texts that are no path, each with the way out.

use alloc::vec::Vec;
use core::fmt;

use crate::limits;

/// Reason why a text is not a path (`path_invalid`). It reads on after the path, and says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPath {
    /// Nothing is left of it.
    Empty,
    /// It or its key is longer than [`limits::PATH_MAX_BYTES`].
    TooLong,
    /// It has a control character.
    Character,
    /// It climbs out of the workspace.
    Outside,
    /// It ends as a directory does: in `/`, `.` or `..`.
    Directory,
    /// It holds `*` or `?`, or a comma between braces.
    Pattern,
    /// It holds a backslash.
    Backslash,
    /// It begins with a drive, a scheme or `~`.
    Absolute,
    /// A part of it begins or ends with a blank, or ends with a dot.
    Blank,
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "names nothing: name a file inside the workspace",
            Self::TooLong => {
                return write!(
                    f,
                    "is longer than {} bytes: name a file inside the workspace",
                    limits::PATH_MAX_BYTES
                );
            }
            Self::Character => "has a control character: name the file without it",
            Self::Outside => "climbs out of the workspace: name a file inside it",
            Self::Directory => "ends like a directory: name its files one by one, since a claim covers only files",
            Self::Pattern => {
                "is a pattern: name the files that it stands for one by one, since a claim covers only files. \
                 Brackets, parentheses, `$`, `+`, `@` and `%` are letters; `*`, `?` and `{a,b}` are not"
            }
            Self::Backslash => "has a backslash: write `/` between its parts",
            Self::Absolute => {
                "begins with a drive, a scheme or a home: name the file from the workspace's root on"
            }
            Self::Blank => {
                "has a part that begins or ends with a blank, or ends with a dot, which some file systems drop: \
                 name the file without it"
            }
        })
    }
}

impl core::error::Error for InvalidPath {}

/// Refuses a text, and the path that is left of it, that names no file as anybody means it, although every
/// byte of it could stand in a name.
pub(super) fn check_spelling(text: &str, path: &str) -> Result<(), InvalidPath> {
    if matches!(text.rsplit('/').next(), Some("" | "." | "..")) {
        return Err(InvalidPath::Directory);
    }
    if path.contains('\\') {
        return Err(InvalidPath::Backslash);
    }
    if path.contains(['*', '?']) || has_alternatives(path) {
        return Err(InvalidPath::Pattern);
    }
    if path.split('/').any(is_blank) {
        return Err(InvalidPath::Blank);
    }
    let (first, goes_on) = path.split_once('/').map_or((path, false), |(first, _)| (first, true));
    if goes_on && first == "~" || is_root(first, goes_on) {
        return Err(InvalidPath::Absolute);
    }
    Ok(())
}

fn is_blank(segment: &str) -> bool {
    segment.starts_with(char::is_whitespace)
        || segment.ends_with(|c: char| c.is_whitespace() || c == '.')
}

/// True for a drive, `C:` with or without more, and for a scheme before a slash, `file:`.
fn is_root(first: &str, goes_on: bool) -> bool {
    let Some((name, rest)) = first.split_once(':') else { return false };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_name && (name.len() == 1 || rest.is_empty() && goes_on)
}

/// True for a comma between the braces of a pair: `{a,b}`. Braces alone are letters.
fn has_alternatives(path: &str) -> bool {
    // Of each brace that is open, whether a comma has come.
    let mut open = Vec::new();
    for letter in path.chars() {
        match letter {
            '{' => open.push(false),
            ',' => {
                if let Some(comma) = open.last_mut() {
                    *comma = true;
                }
            }
            '}' if open.pop() == Some(true) => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::LeasePath;

    #[test]
    fn what_cannot_be_meant_for_a_file_is_refused_with_the_way_out() {
        for (texts, why) in [
            (&["src/", "src/.", "src/x/..", "/src//"][..], InvalidPath::Directory),
            (
                &["src/*", "src/**", "**/a.rs", "a?.rs", "src/{a,b}.rs", "x/{a}{b,c}", "{a,{b}}"],
                InvalidPath::Pattern,
            ),
            (&["src\\lib.rs", "C:\\src\\lib.rs"], InvalidPath::Backslash),
            (
                &[
                    "C:/src/lib.rs",
                    "/c:/lib.rs",
                    "C:lib.rs",
                    "file:///src/lib.rs",
                    "https://x/y",
                    "~/a.rs",
                    "x/../C:/a",
                    "|tlK//..//toke:/y",
                    "x/../~/a",
                ],
                InvalidPath::Absolute,
            ),
            (
                &["src/lib.rs ", " src/lib.rs", "src /lib.rs", "src/...", "lib.rs.", "a\u{a0}"],
                InvalidPath::Blank,
            ),
        ] {
            for text in texts {
                assert_eq!(LeasePath::new(text), Err(why), "{text:?}");
                assert!(LeasePath::named(text).is_ok(), "{text:?} may be held from before");
            }
        }
    }

    #[test]
    fn letters_that_patterns_use_too_are_letters() {
        for text in [
            "app/[id]/(group)/page.tsx",
            "a{b}.rs",
            "a,b.rs",
            "a}x,{b",
            "routes/$user.tsx",
            "@scope/a+b",
            "100%.md",
            "my file.rs",
            ".gitignore",
            "~lock.odt",
            "src/a:b.rs",
            "notes:today",
            "\u{65e5}\u{672c}/\u{8a9e}.md",
        ] {
            assert_eq!(LeasePath::new(text).unwrap().as_str(), text);
        }
    }
}
