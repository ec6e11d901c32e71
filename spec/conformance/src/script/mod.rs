//! Scripts: a rule told as a story, with what the specification answers.
//!
//! ```text
//! # A stale token cannot release: the lease it stood for is over.
//! acquire alice/1 a1 src/lib.rs ttl=10s
//! at +10s
//! acquire bob/1 b1 src/lib.rs ttl=10s
//! release alice/1 #0s
//! ----
//! [1 +0s] granted #0s until +10s, term 10s
//! [2 +10s] granted #10s until +20s, term 10s
//! [2 +10s] refused: lost
//! ```
//!
//! A section is comments and directives, `----`, and what is shown, up to an empty line. Each command
//! shows its reply behind `[sequence, object time]`, and under it, as `  > peer …`, what open sockets
//! received. Instants are relative to the start; a token is the instant it is anchored in. With
//! `REWRITE=1` the specification writes the lower halves anew; the difference is for reviewers.
//!
//! | line | meaning |
//! |---|---|
//! | `at +30s` | true time goes on to 30 s after the start |
//! | `host -3s`, `host right`, `host unix 0` | the host's clock is behind, right again, or stands at a reading |
//! | `alarm`, `pending` | the alarm rings; shows for when it is set |
//! | `connect P`, `disconnect P` | a peer opens, closes its socket; where sessions begin by command there is no `connect` |
//! | `evict`, `crash` | the object leaves memory; is killed, sockets too |
//! | `bookmark N`, `restore N` | the storage is remembered, set back |
//! | `times 9 … {n} …` | the command nine times with `{n}` from 1 on; the last reply is shown |
//! | `f{1..3}` | the words `f1 f2 f3` |

mod files;

use core::fmt;

pub use files::{ScriptFile, rewriting, scripts_of};

use super::block_on;
use super::directive::{Directive, needs};
use super::lockstep::{self, Disagreement};
use super::model::ModelSystem;
use super::notation::{EXACT_START, Epoch};
use super::realtime;
use super::subject::Subject;
use super::system::{Capability, Needs, SystemUnderTest};

/// Between what is done and what is shown.
const DIVIDER: &str = "----";

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script<S: Subject> {
    sections: Vec<Section<S>>,
}

#[derive(Clone, Debug)]
struct Section<S: Subject> {
    /// Comments and directives as they were written.
    text: Vec<String>,
    directives: Vec<Directive<S>>,
    expected: Vec<String>,
}

/// A line of a script that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// Fault in it.
    pub reason: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl core::error::Error for ScriptError {}

/// Reason why a script did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptFailure {
    /// The system is not what the specification says.
    Disagrees(Disagreement),
    /// The specification is not what the script says.
    Outdated {
        /// Lines that the script shows.
        written: String,
        /// Lines that the specification shows now.
        now: String,
    },
    /// On a real clock: no order of events explains what the system said.
    Unexplained(String),
}

impl fmt::Display for ScriptFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disagrees(disagreement) => disagreement.fmt(f),
            Self::Outdated { written, now } => {
                writeln!(f, "the script shows `{written}`")?;
                writeln!(f, "  the specification shows `{now}` (REWRITE=1 writes it)")
            }
            Self::Unexplained(report) => f.write_str(report),
        }
    }
}

impl core::error::Error for ScriptFailure {}

/// Result of a script on a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The system repeated it.
    Passed,
    /// The system cannot do what it needs, for this reason.
    Skipped(String),
}

impl<S: Subject> Script<S> {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`] names the line.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let epoch = Epoch(EXACT_START);
        let mut sections = Vec::new();
        let mut section =
            Section { text: Vec::new(), directives: Vec::new(), expected: Vec::new() };
        let mut shown = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if shown && line.is_empty() {
                shown = false;
                let next =
                    Section { text: Vec::new(), directives: Vec::new(), expected: Vec::new() };
                sections.push(core::mem::replace(&mut section, next));
            } else if shown {
                section.expected.push(line.to_string());
            } else if line == DIVIDER {
                shown = true;
            } else {
                section.text.push(line.to_string());
                if !line.is_empty() && !line.starts_with('#') {
                    let directive = Directive::parse(line, epoch)
                        .map_err(|reason| ScriptError { line: index + 1, reason })?;
                    section.directives.push(directive);
                }
            }
        }
        let unfinished = !shown && !section.directives.is_empty();
        if unfinished {
            let reason = format!("`{DIVIDER}` is missing after the last directives");
            return Err(ScriptError { line: text.lines().count(), reason });
        }
        if shown || !section.text.is_empty() {
            sections.push(section);
        }
        Ok(Self { sections })
    }

    /// All directives in order.
    #[must_use]
    pub fn directives(&self) -> Vec<Directive<S>> {
        self.sections.iter().flat_map(|section| section.directives.iter().cloned()).collect()
    }

    /// Needs of the script: what a system must be able to do.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = needs(&self.directives());
        if self
            .sections
            .iter()
            .flat_map(|section| &section.expected)
            .any(|line| line.starts_with("  >"))
        {
            needs.capabilities.insert(Capability::Sockets);
        }
        needs
    }

    /// The script with its lower halves as the specification shows them.
    #[must_use]
    pub fn rewritten(&self) -> String {
        let mut shown = self.shown().into_iter();
        let mut text = String::new();
        for section in &self.sections {
            for line in &section.text {
                text.push_str(line);
                text.push('\n');
            }
            if section.directives.is_empty() {
                continue;
            }
            text.push_str(DIVIDER);
            text.push('\n');
            for line in shown.by_ref().take(section.directives.len()).flatten() {
                text.push_str(&line);
                text.push('\n');
            }
            text.push('\n');
        }
        format!("{}\n", text.trim_end())
    }

    /// Lines that the specification shows for each directive.
    fn shown(&self) -> Vec<Vec<String>> {
        let mut shown = Vec::new();
        let mut model = ModelSystem::<S>::default();
        let ran =
            block_on(lockstep::run(&self.directives(), &mut model, |lines| shown.push(lines)));
        debug_assert_eq!(ran, Ok(()), "the specification agrees with itself");
        shown
    }

    /// True if the specification still shows what the script says.
    ///
    /// # Errors
    /// [`ScriptFailure::Outdated`] with the first line that differs.
    pub fn is_current(&self) -> Result<(), ScriptFailure> {
        self.says(self.shown())
    }

    /// True if the script says what was shown for each directive.
    fn says(&self, shown: Vec<Vec<String>>) -> Result<(), ScriptFailure> {
        let mut shown = shown.into_iter();
        for section in &self.sections {
            let now: Vec<String> =
                shown.by_ref().take(section.directives.len()).flatten().collect();
            let line = |lines: &[String], index| lines.get(index).cloned().unwrap_or_default();
            for index in 0..now.len().max(section.expected.len()) {
                let (written, now) = (line(&section.expected, index), line(&now, index));
                if written != now {
                    return Err(ScriptFailure::Outdated { written, now });
                }
            }
        }
        Ok(())
    }

    /// Runs the script on a system: word for word with exact time, else replayed at the times that
    /// its commits name.
    ///
    /// # Errors
    /// [`ScriptFailure`] for the first difference.
    pub async fn run<T: SystemUnderTest<S>>(
        &self,
        system: &mut T,
    ) -> Result<Verdict, ScriptFailure> {
        let able = system.capabilities();
        if let Some(reason) = able.lacks(&self.needs()) {
            return Ok(Verdict::Skipped(reason));
        }
        let directives = self.directives();
        if able.has(Capability::ExactTime) {
            let mut shown = Vec::new();
            let ran = lockstep::run(&directives, system, |lines| shown.push(lines)).await;
            ran.map_err(ScriptFailure::Disagrees)?;
            self.says(shown)?;
        } else {
            realtime::run(&directives, system).await.map_err(ScriptFailure::Unexplained)?;
        }
        Ok(Verdict::Passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailbus_spec::lease::LeaseMachine;

    const SCRIPT: &str = "\
# A story.
acquire alice/1 a1 src/lib.rs ttl=10s
at +10s
status src/lib.rs
----
[1 +0s] granted #0s until +10s, term 10s
[2 +10s] free, 0 waiting
";

    fn script(text: &str) -> Script<LeaseMachine> {
        Script::parse(text).unwrap()
    }

    #[test]
    fn a_script_that_the_specification_repeats_passes() {
        let script = script(SCRIPT);
        assert_eq!(script.rewritten(), SCRIPT);
        let mut model = ModelSystem::default();
        assert_eq!(block_on(script.run(&mut model)), Ok(Verdict::Passed));
    }

    #[test]
    fn a_changed_line_is_found() {
        for (from, to) in [("until +10s", "until +11s"), ("[2 ", "[1 "), ("free, 0 waiting\n", "")]
        {
            let failed = script(&SCRIPT.replace(from, to)).is_current();
            assert!(matches!(failed, Err(ScriptFailure::Outdated { .. })), "{from}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let failed = Script::<LeaseMachine>::parse("# x\nsteal src/lib.rs\n----\n").unwrap_err();
        assert_eq!(
            (failed.line, failed.reason.as_str()),
            (2, "`steal src/lib.rs` is not a command")
        );
        assert!(Script::<LeaseMachine>::parse("alarm\n").is_err(), "no divider");
    }

    #[test]
    fn what_a_system_lacks_skips_a_script_with_the_reason() {
        let able = crate::Capabilities::of([]).patient(1_000);
        assert_eq!(able.lacks(&script(SCRIPT).needs()).unwrap(), "takes 10s of real time");
        assert_eq!(able.lacks(&script("evict\n----\n").needs()).unwrap(), "needs eviction");
    }
}
