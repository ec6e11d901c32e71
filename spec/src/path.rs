//! Paths: what a lease is held on, and when two of them are one file.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

use crate::limits;

mod invalid;

pub use invalid::InvalidPath;

/// Version of the Unicode tables that [`key`] folds by: major, minor, update.
pub const UNICODE_VERSION: (u8, u8, u8) = unicode_normalization::UNICODE_VERSION;

/// A workspace-relative, normalised path of 1..=1024 bytes: the name of a file, as somebody spells it.
///
/// Leading `/`, `./` and empty segments are dropped and `a/..` is resolved. Of what is left the spelling is
/// kept, and two paths are *equal* if they name one file wherever it is checked out: they are compared,
/// ordered and hashed by their [`key`] ([refuted](crate::rules::refuted#a-path-by-its-bytes)).
///
/// Invariant: all questions of conflict go through [`LeasePath::overlaps`] and [`PathSet::overlaps`].
#[derive(Clone)]
pub struct LeasePath {
    text: String,
    /// None if the text is its own key.
    key: Option<String>,
}

/// Key of a path's text: what it is compared by. It is NFC of the full case folding of NFD, by the tables of
/// [`UNICODE_VERSION`]: the file systems of macOS and Windows take names for one that differ in no more.
///
/// A beginning of a path has the beginning of its key, but where a letter and its accent are parted.
#[must_use]
pub fn key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    UniCase::unicode(text.nfd().collect::<String>()).to_folded_case().nfc().collect()
}

impl LeasePath {
    /// Parses and normalises a path that somebody asks for or about.
    ///
    /// # Errors
    /// [`InvalidPath`] says what is wrong with it: it names no file of the workspace, or is spelled as no
    /// file is meant.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        let path = Self::named(text)?;
        invalid::check_spelling(text, &path.text)?;
        // Letters may fold to longer ones, threefold at most.
        if path.key().len() > limits::PATH_MAX_BYTES {
            return Err(InvalidPath::TooLong);
        }
        Ok(path)
    }

    /// Parses and normalises a path by which somebody may have got hold of something earlier: what
    /// [`LeasePath::new`] refuses as meant for no file is accepted, since a lease on it may live.
    ///
    /// # Errors
    /// [`InvalidPath`] for a text that names nothing inside the workspace.
    pub fn named(text: &str) -> Result<Self, InvalidPath> {
        if text.len() > limits::PATH_MAX_BYTES {
            return Err(InvalidPath::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPath::Character);
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop().ok_or(InvalidPath::Outside)?;
                }
                name => segments.push(name),
            }
        }
        if segments.is_empty() {
            return Err(InvalidPath::Empty);
        }
        let text = segments.join("/");
        let key = Some(key(&text)).filter(|key| *key != text);
        Ok(Self { text, key })
    }

    /// The normalised text, spelled as it was asked for.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The [`key`] of its text.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.text)
    }

    /// True if a claim on one excludes a claim on the other: if they are equal. Claims of directories or
    /// globs would change this line and no transition.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self == other
    }
}

impl PartialEq for LeasePath {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for LeasePath {}

impl Ord for LeasePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl PartialOrd for LeasePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for LeasePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for LeasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LeasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Serialize for LeasePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for LeasePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Reason why a list of paths is not a claimable set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPaths {
    /// There is none (`malformed`).
    None,
    /// There are more than [`limits::CLAIM_MAX_PATHS`] (`too_many_paths`).
    TooMany,
}

impl fmt::Display for InvalidPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("a claim names at least one path"),
            Self::TooMany => write!(f, "a claim has at most {} paths", limits::CLAIM_MAX_PATHS),
        }
    }
}

impl core::error::Error for InvalidPaths {}

/// The 1..=64 different paths of one claim, in the order of their keys. A set is held whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PathSet(Vec<LeasePath>);

impl PathSet {
    /// The set of the given paths; of repetitions the first counts.
    ///
    /// # Errors
    /// [`InvalidPaths`] for none, or for more than 64 as they were given.
    pub fn new(mut paths: Vec<LeasePath>) -> Result<Self, InvalidPaths> {
        if paths.is_empty() {
            return Err(InvalidPaths::None);
        }
        if paths.len() > limits::CLAIM_MAX_PATHS {
            return Err(InvalidPaths::TooMany);
        }
        paths.sort();
        paths.dedup();
        Ok(Self(paths))
    }

    /// The set of one path.
    #[must_use]
    pub fn one(path: LeasePath) -> Self {
        Self(alloc::vec![path])
    }

    /// The paths in the order of their keys; never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[LeasePath] {
        &self.0
    }

    /// True if any path of one overlaps any path of the other.
    ///
    /// Both are sorted and overlap is equality, so one pass over both finds it. What changes
    /// [`LeasePath::overlaps`] changes this too, and nothing outside this file.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
            if our.overlaps(their) {
                return true;
            }
            if our < their {
                ours.next()
            } else {
                theirs.next()
            };
        }
        false
    }

    /// True if a claim on this set excludes a claim on `path`.
    #[must_use]
    pub fn covers(&self, path: &LeasePath) -> bool {
        self.0.iter().any(|own| own.overlaps(path))
    }
}

impl<'de> Deserialize<'de> for PathSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?)
            .map_err(|_| serde::de::Error::custom("a claim has 1 to 64 paths"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> LeasePath {
        LeasePath::new(text).unwrap()
    }

    #[test]
    fn ways_to_one_file_are_one_path() {
        for text in
            ["src/lib.rs", "/src/lib.rs", "./src//lib.rs", "src/x/../lib.rs", "src/./lib.rs"]
        {
            assert_eq!(path(text).as_str(), "src/lib.rs", "{text}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_equal_and_kept() {
        for (one, other) in [
            ("src/Lib.rs", "SRC/lib.RS"),
            ("caf\u{e9}.rs", "cafe\u{301}.rs"),
            ("CAF\u{c9}.rs", "cafe\u{301}.rs"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{1e69}", "s\u{307}\u{323}"),
            ("\u{3a3}\u{3c2}", "\u{3c3}\u{3c3}"),
            ("\u{212b}", "a\u{30a}"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
        ] {
            let (one, other) = (path(one), path(other));
            assert!(one == other && one.overlaps(&other), "{one} and {other}");
            assert_ne!(one.as_str(), other.as_str());
            assert_eq!(key(one.key()), one.key(), "a key is its own key");
        }
        for (one, other) in [("a/b", "ab"), ("\u{131}", "i"), ("cafe", "caf\u{e9}"), ("a b", "ab")]
        {
            assert_ne!(path(one), path(other));
        }
    }

    /// Both tables are of one version: their newest letters fold and compose.
    #[test]
    fn the_newest_letters_fold() {
        assert_eq!(UNICODE_VERSION, (18, 0, 0));
        assert_eq!(key("\u{16ea0}"), "\u{16ebb}");
        assert_eq!(key("\u{105d2}\u{307}"), "\u{105c9}");
    }

    #[test]
    fn a_path_whose_key_is_too_long_is_refused() {
        let (grows, stays) = ("\u{390}".repeat(512), "\u{3b9}".repeat(512));
        assert!(key(&grows).len() <= 1_024, "it composes again");
        let decomposes = "\u{1d160}".repeat(256);
        assert!(key(&decomposes).len() > 1_024);
        assert_eq!(LeasePath::new(&decomposes), Err(InvalidPath::TooLong));
        assert!(LeasePath::named(&decomposes).is_ok() && LeasePath::new(&stays).is_ok());
    }

    #[test]
    fn what_names_nothing_or_climbs_out_is_refused() {
        for new in [LeasePath::new, LeasePath::named] {
            assert_eq!(new(""), Err(InvalidPath::Empty));
            assert_eq!(new("a/.."), Err(InvalidPath::Empty));
            assert_eq!(new("../a"), Err(InvalidPath::Outside));
            assert_eq!(new("a/../../b"), Err(InvalidPath::Outside));
            assert_eq!(new("a\0b"), Err(InvalidPath::Character));
            assert_eq!(new(&"x".repeat(1_025)), Err(InvalidPath::TooLong));
        }
    }

    #[test]
    fn a_set_has_no_order_and_no_repetitions() {
        let set = PathSet::new(alloc::vec![path("b"), path("A"), path("./B"), path("a")]).unwrap();
        assert_eq!(set.as_slice(), [path("a"), path("b")]);
        assert_eq!(alloc::format!("{set:?}"), "PathSet([\"A\", \"b\"])", "as first spelled");
        assert!(set.overlaps(&PathSet::one(path("b"))));
        assert!(!set.overlaps(&PathSet::one(path("c"))));
        let later = PathSet::new(alloc::vec![path("0"), path("aa"), path("b"), path("z")]).unwrap();
        assert!(set.overlaps(&later) && later.overlaps(&set));
        assert_eq!(PathSet::new(Vec::new()), Err(InvalidPaths::None));
        assert_eq!(
            PathSet::new((0..65).map(|n| path(&alloc::format!("{n}"))).collect()),
            Err(InvalidPaths::TooMany)
        );
    }
}
