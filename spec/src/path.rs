//! Paths: what a lease is held on.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Reason why a text is not a path (`path_invalid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPath {
    /// Nothing is left of it.
    Empty,
    /// It is longer than [`limits::PATH_MAX_BYTES`].
    TooLong,
    /// It has a control character.
    Character,
    /// It climbs out of the workspace.
    Outside,
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("names nothing"),
            Self::TooLong => write!(f, "is longer than {} bytes", limits::PATH_MAX_BYTES),
            Self::Character => f.write_str("has a control character"),
            Self::Outside => f.write_str("climbs out of the workspace"),
        }
    }
}

impl core::error::Error for InvalidPath {}

/// A workspace-relative, normalised path of 1..=1024 bytes.
///
/// Leading `/`, `./` and empty segments are dropped and `a/..` is resolved, so that two spellings
/// of one file are one path.
///
/// Invariant: all questions of conflict go through [`LeasePath::overlaps`] and [`PathSet::overlaps`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LeasePath(String);

impl LeasePath {
    /// Parses and normalises a path.
    ///
    /// # Errors
    /// [`InvalidPath`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
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
        Ok(Self(segments.join("/")))
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if a claim on one excludes a claim on the other: if they are equal. Claims of directories or
    /// globs would change this line and no transition.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self == other
    }
}

impl fmt::Display for LeasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LeasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for LeasePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
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

/// The 1..=64 different paths of one claim, in byte order. A set is held whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PathSet(Vec<LeasePath>);

impl PathSet {
    /// The set of the given paths; repetitions count once.
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

    /// The paths in byte order; never empty.
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

    #[test]
    fn spellings_of_one_file_are_one_path() {
        for text in
            ["src/lib.rs", "/src/lib.rs", "./src//lib.rs", "src/x/../lib.rs", "src/./lib.rs/"]
        {
            assert_eq!(LeasePath::new(text).unwrap().as_str(), "src/lib.rs", "{text}");
        }
    }

    #[test]
    fn what_names_nothing_or_climbs_out_is_refused() {
        assert_eq!(LeasePath::new(""), Err(InvalidPath::Empty));
        assert_eq!(LeasePath::new("a/.."), Err(InvalidPath::Empty));
        assert_eq!(LeasePath::new("../a"), Err(InvalidPath::Outside));
        assert_eq!(LeasePath::new("a/../../b"), Err(InvalidPath::Outside));
        assert_eq!(LeasePath::new("a\0b"), Err(InvalidPath::Character));
        assert_eq!(LeasePath::new(&"x".repeat(1_025)), Err(InvalidPath::TooLong));
    }

    #[test]
    fn a_set_has_no_order_and_no_repetitions() {
        let path = |text: &str| LeasePath::new(text).unwrap();
        let set = PathSet::new(alloc::vec![path("b"), path("a"), path("./b")]).unwrap();
        assert_eq!(set.as_slice(), [path("a"), path("b")]);
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
