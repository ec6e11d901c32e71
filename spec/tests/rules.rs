//! Goal: whoever follows a citation in this repository arrives, in a clone and in the documentation.
//! Method: all texts of the tree are read; anchors that they cite are looked for among the headings of
//! `spec/rules`, and pages among the files.

use mailbus_spec::invariant::Specified;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::mailbox::MailboxMachine;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// This file: the only one that may spell what nobody may cite.
const OWN: &str = "spec/tests/rules.rs";

/// Words before a number of a list that no clone has: `review A1`, `second round B8`, `the original's 11`.
const FOREIGN_NUMBERS: [&str; 5] =
    ["review ", "second round ", "second round, ", "the original's ", "the original's bug "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Folders that builds and runs make, and those of nobody's prose: seeds and stored databases.
const SKIPPED: [&str; 8] =
    [".git", "target", "node_modules", "build", "corpus", "artifacts", "seeds", "fixtures"];

/// Every text below a folder of the tree, by its path from the root.
fn texts_below(folder: &str, texts: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            if !SKIPPED.contains(&&*name) {
                texts_below(&path, texts);
            }
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            texts.insert(path, text);
        }
    }
}

/// Every text of the tree by its path, but for this file and locks.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    texts_below("", &mut texts);
    texts.retain(|path, _| path != OWN && !path.contains("lock"));
    assert!(texts.len() > 500, "only {} texts were found", texts.len());
    texts
}

/// A page of `spec/rules` by the name of its module or file.
fn page(name: &str) -> String {
    let path = root().join("spec/rules").join(format!("{name}.md"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const PAGES: [&str; 6] = ["README", "leases", "mailboxes", "wire", "platform", "refuted"];

/// The anchors of a page, as GitHub and rustdoc make them of its headings.
fn anchors(page: &str) -> Vec<String> {
    let anchor = |heading: &str| {
        let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
        heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// The links to an anchor of a page in a text: of `refuted.md#a`, `rules::refuted#a` the page and the anchor.
fn links(text: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for (at, _) in text.match_indices('#') {
        let before = &text[..at];
        let name: String = {
            let path = before.strip_suffix(".md").unwrap_or(before);
            let letters = path.chars().rev().take_while(char::is_ascii_alphabetic);
            letters.collect::<String>().chars().rev().collect()
        };
        let is_page = before.ends_with(&format!("{name}.md")) && PAGES.contains(&&*name)
            || before.ends_with(&format!("rules::{name}"));
        let is_anchor = |letter: &char| letter.is_ascii_alphanumeric() || "-_".contains(*letter);
        let anchor: String = text[at + 1..].chars().take_while(is_anchor).collect();
        if is_page && !anchor.is_empty() {
            links.push((name, anchor));
        }
    }
    links
}

/// A text without its line breaks and the marks of its comments: a citation may go over two lines.
fn unwrapped(text: &str) -> String {
    let prose = |line: &str| line.trim().trim_start_matches(['/', '!', '#', '*']).trim().to_owned();
    text.lines().map(prose).collect::<Vec<_>>().join(" ")
}

/// Citations of a text that lead nowhere in a tree with these pages.
fn foreign(text: &str, pages: &BTreeSet<&str>) -> BTreeSet<String> {
    let prose = unwrapped(text);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let words = prose.split(|letter| !is_part(letter)).map(|word| word.trim_end_matches('.'));
    let is_page = |word: &&str| word.strip_suffix(".md").is_some_and(|name| !name.is_empty());
    let is_foreign = |word: &&str| is_page(word) && !pages.contains(word);
    let mut found: BTreeSet<String> = words.filter(is_foreign).map(str::to_owned).collect();
    for words in FOREIGN_NUMBERS {
        for (at, _) in prose.match_indices(words) {
            let next: String = prose[at + words.len()..].chars().take(3).collect();
            let number = next.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
            if next.len() - number.len() <= 2 && number.starts_with(|c: char| c.is_ascii_digit()) {
                found.insert(format!("{words}{next}"));
            }
        }
    }
    found.extend(text.lines().filter_map(numbered));
    found
}

/// The number of a trace in the brackets of a comment: `[Q4]`, `[2.14]`, `[7, M1]`.
fn numbered(line: &str) -> Option<String> {
    let comment = ["//", "# "].iter().filter_map(|mark| line.split_once(mark)).next()?.1;
    let (_, inside) = comment.split_once('[')?;
    let (inside, after) = inside.split_once(']')?;
    let is_number = |part: &str| {
        let part = part.trim().trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        let digits = part.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
        part.len() - digits.len() <= 2
            && digits.starts_with(|letter: char| letter.is_ascii_digit())
            && digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
    };
    // `[0]` after a name is an index, and a list is followed by a link or a colon.
    let is_end = after.is_empty() || after.starts_with(['.', ';', ',', ':']);
    let is_cited = comment.contains(" [") && is_end && inside.split(',').all(is_number);
    is_cited.then(|| format!("[{inside}]"))
}

#[test]
fn every_link_to_a_rule_leads_to_a_heading() {
    let known: BTreeMap<&str, Vec<String>> =
        PAGES.iter().map(|name| (*name, anchors(&page(name)))).collect();
    let mut astray = Vec::new();
    let mut followed = 0;
    for (path, text) in texts() {
        for (name, anchor) in links(&text) {
            followed += 1;
            if !known.get(&*name).is_some_and(|anchors| anchors.contains(&anchor)) {
                astray.push(format!("{path}: {name}#{anchor}"));
            }
        }
    }
    assert!(astray.is_empty(), "{}", astray.join("\n"));
    assert!(followed > 100, "only {followed} links were found");
}

#[test]
fn nothing_is_cited_that_a_clone_does_not_have() {
    let texts = texts();
    let pages = texts.keys().filter_map(|path| path.rsplit('/').next()).collect();
    let found = texts.iter().flat_map(|(path, text)| {
        // In a script, paths outside its comments are leased.
        let is_prose = |line: &&str| !path.starts_with("spec/scripts/") || line.starts_with('#');
        let text: Vec<&str> = text.lines().filter(is_prose).collect();
        foreign(&text.join("\n"), &pages).into_iter().map(move |cited| format!("{path}: {cited}"))
    });
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_citation_of_a_page_that_is_not_here_is_found() {
    let pages = BTreeSet::from(["README.md"]);
    for (text, cited) in [
        ("/// As NOWHERE.md has it.", "NOWHERE.md"),
        ("# Source: pages/nowhere.md.", "nowhere.md"),
        ("/// (review A1).", "review A1)"),
        ("/// it counts (second\n/// round B8).", "second round B8)"),
        ("# which is refused [second\n# round, A12].", "second round, A12"),
        ("//! Source: the original's 11.", "the original's 11."),
        ("    /// Nothing is left [Q4].", "[Q4]"),
        ("    /// A row is deleted [7, M1].", "[7, M1]"),
        ("    /// It outlives [2.14].", "[2.14]"),
        ("    /// At leases only [XD1b].", "[XD1b]"),
    ] {
        assert_eq!(foreign(text, &pages), BTreeSet::from([cited.to_owned()]), "{text}");
    }
    for text in [
        "let first = seqs[1];",
        "/// An array of [1, 2] more.",
        "// a review of it",
        "//! ../README.md, format!(\"{name}.md\").",
    ] {
        assert_eq!(foreign(text, &pages), BTreeSet::new(), "{text}");
    }
}

#[test]
fn links_are_found_in_each_of_their_forms() {
    let refuted = |anchor: &str| ("refuted".to_owned(), anchor.to_owned());
    for text in [
        "see `spec/rules/refuted.md#a-b`",
        "[a]: refuted.md#a-b",
        "[a](crate::rules::refuted#a-b)",
        "//! Source: spec/rules/refuted.md#a-b.",
    ] {
        assert_eq!(links(text), [refuted("a-b")], "{text}");
    }
    assert!(links("other.md#a, #[test], refuted#a").is_empty());
}

#[test]
fn headings_are_told_apart_by_their_anchors() {
    for name in PAGES {
        let anchors = anchors(&page(name));
        let distinct: BTreeSet<&String> = anchors.iter().collect();
        assert_eq!(distinct.len(), anchors.len(), "{name}.md");
    }
}

/// The labels that a text refers to, as in `[why][label]`.
fn labels(text: &str) -> BTreeSet<&str> {
    let labels = text.match_indices("][").filter_map(|(at, _)| text[at + 2..].split_once(']'));
    labels.map(|(label, _)| label).collect()
}

/// The targets of the labels that a text defines, as in `[label]: target`.
fn definitions(text: &str) -> BTreeMap<&str, &str> {
    let defined = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    defined.collect()
}

#[test]
fn a_label_of_a_page_means_the_same_in_a_clone_and_in_the_documentation() {
    let in_docs = std::fs::read_to_string(root().join("spec/rules/links.txt")).unwrap();
    let in_docs = definitions(&in_docs);
    let mut used = BTreeSet::new();
    for name in PAGES {
        let page = page(name);
        let in_clone = definitions(&page);
        assert_eq!(in_clone.keys().copied().collect::<BTreeSet<_>>(), labels(&page), "{name}.md");
        for (label, target) in in_clone {
            let target = target.replace(".md", "");
            let module = in_docs.get(label).map(|module| module.replace("crate::rules::", ""));
            assert_eq!(Some(target), module, "{label} of {name}.md");
            used.insert(label.to_owned());
        }
    }
    let defined: BTreeSet<String> = in_docs.keys().map(|label| (*label).to_owned()).collect();
    assert_eq!(used, defined, "links.txt");
}

/// The pieces of a text between two backticks.
fn spelled(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn a_limit_that_a_page_names_is_one() {
    let limits = std::fs::read_to_string(root().join("spec/src/limits.rs")).unwrap();
    for name in PAGES {
        let page = page(name);
        let is_constant = |word: &&str| {
            let letters =
                |letter: char| letter.is_ascii_uppercase() || "_0123456789".contains(letter);
            word.contains('_') && word.chars().all(letters) && !word.starts_with("MAILBUS_")
        };
        for constant in spelled(&page).filter(is_constant) {
            let defined = limits.contains(&format!("pub const {constant}:"));
            assert!(defined, "{name}.md names {constant}, which limits.rs does not have");
        }
    }
}

#[test]
fn a_file_that_a_page_names_is_there() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let rules = PAGES.map(|name| (name, page(name)));
    let folders = ["spec/", "worker/", "client/", "sim/", "fuzz/", "benches/", ".ci/"];
    // Made by the first run of the tests.
    let made = ["worker/node_modules"];
    for (name, text) in rules.iter().map(|(name, text)| (*name, text)).chain([("/README", &readme)])
    {
        let is_path = |word: &&str| {
            folders.iter().any(|folder| word.starts_with(folder)) && !word.contains([' ', '\n'])
        };
        for word in spelled(text).filter(is_path).filter(|word| !made.contains(word)) {
            assert!(root().join(word).exists(), "{name}.md names {word}");
        }
    }
}

#[test]
fn each_invariant_is_on_its_page() {
    fn names<S: Specified>() -> Vec<&'static str> {
        S::INVARIANTS.iter().map(|invariant| invariant.name).collect()
    }
    let (leases, mailboxes) = (names::<LeaseMachine>(), names::<MailboxMachine>());
    for (name, invariants) in [("leases", leases), ("mailboxes", mailboxes)] {
        let page = page(name);
        for invariant in invariants {
            assert!(page.contains(&format!("| `{invariant}` |")), "{name}.md lacks {invariant}");
        }
    }
}
