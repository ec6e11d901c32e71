//! Names that look alike: whom a message to a name that nobody is known by was perhaps meant for.

use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;

/// Most letters by which two names that look alike differ; one, where a name is shorter than five letters.
const MOST_APART: usize = 2;

/// Names among `known`, which come in order, that look like `name`: at most [`limits::NEAR_NAMES`].
///
/// First those that differ in case, blanks, `-`, `_` or `.` alone, then those that are a letter or two apart,
/// of the first [`limits::NEAR_CANDIDATES`] that begin with the same letter. Ties are in order of name.
#[must_use]
pub fn near<'k>(name: &AgentId, known: impl Iterator<Item = &'k AgentId>) -> Vec<AgentId> {
    Search::default().near(name, known)
}

/// Search with its cost.
#[derive(Default)]
struct Search {
    /// Number of letters that were looked at.
    steps: u64,
}

/// The letters of a name that tell it from others.
fn folded(name: &AgentId) -> impl Iterator<Item = char> {
    let told = name.as_str().chars().filter(|letter| !"-_. ".contains(*letter));
    told.flat_map(char::to_lowercase)
}

impl Search {
    fn near<'k>(
        &mut self,
        name: &AgentId,
        known: impl Iterator<Item = &'k AgentId>,
    ) -> Vec<AgentId> {
        let own: Vec<char> = folded(name).collect();
        let most = if own.len() < 5 { 1 } else { MOST_APART };
        let mut candidates = 0_usize;
        let mut found: Vec<(usize, &AgentId)> = Vec::new();
        for other in known {
            if self.is_same(&own, other) {
                found.push((0, other));
            } else if folded(other).next() == own.first().copied()
                && candidates < limits::NEAR_CANDIDATES
            {
                candidates = candidates.saturating_add(1);
                let letters: Vec<char> = folded(other).collect();
                found.extend(self.distance(&own, &letters, most).map(|apart| (apart, other)));
            }
        }
        found.sort();
        found.into_iter().take(limits::NEAR_NAMES).map(|(_, other)| other.clone()).collect()
    }

    fn is_same(&mut self, own: &[char], other: &AgentId) -> bool {
        let mut letters = folded(other);
        let mut same = own.iter().all(|letter| {
            self.steps = self.steps.saturating_add(1);
            letters.next() == Some(*letter)
        });
        same &= letters.next().is_none();
        same
    }

    /// Number of letters to change, add or leave out that make one name of the other, if it is at most `most`.
    fn distance(&mut self, one: &[char], other: &[char], most: usize) -> Option<usize> {
        let common = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        self.steps = self.steps.saturating_add(common as u64).saturating_add(1);
        let (one, other) = (one.get(common..)?, other.get(common..)?);
        if one.is_empty() && other.is_empty() {
            return Some(0);
        }
        let left = most.checked_sub(1)?;
        let (next_one, next_other) = (one.get(1..), other.get(1..));
        let ways = [(next_one, next_other), (next_one, Some(other)), (Some(one), next_other)];
        let apart = ways.into_iter().filter_map(|(one, other)| self.distance(one?, other?, left));
        apart.min().map(|apart| apart.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    fn names(texts: &[&str]) -> Vec<AgentId> {
        texts.iter().map(|text| AgentId::new(*text).unwrap()).collect()
    }

    fn found(name: &str, known: &[&str]) -> Vec<String> {
        let known = names(known);
        let near = near(&AgentId::new(name).unwrap(), known.iter());
        near.iter().map(|name| String::from(name.as_str())).collect()
    }

    #[test]
    fn spellings_of_a_name_come_before_what_is_a_letter_or_two_apart() {
        let known = ["planner", "team-led", "team-lead", "Team.Lead", "tester"];
        assert_eq!(found("team_lead", &known), ["Team.Lead", "team-lead", "team-led"]);
        assert_eq!(found("TEAM LEAD", &known), ["Team.Lead", "team-lead", "team-led"]);
        assert_eq!(found("plnaner", &known), ["planner"]);
        assert!(found("lead", &known).is_empty());
        assert!(found("bob", &["ben"]).is_empty(), "short names are one letter apart");
        assert_eq!(found("bob", &["bobb", "bo"]), ["bo", "bobb"]);
    }

    #[test]
    fn of_many_the_first_three_are_told() {
        let known: Vec<String> = (0..40).map(|number| format!("worker-{number:02}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(found("worker-9", &known), ["worker-09", "worker-19", "worker-29"]);
    }

    /// A thousand names, all alike but for their ends and as long as names may be.
    #[test]
    fn a_search_is_bounded_whatever_the_names_are() {
        let long = "a".repeat(limits::ID_MAX_BYTES - 4);
        let known: Vec<AgentId> = (0..limits::WORKSPACE_AGENTS)
            .map(|number| AgentId::new(format!("{long}{number:04}")).unwrap())
            .collect();
        let mut search = Search::default();
        let found = search.near(&AgentId::new(format!("{long}bbbb")).unwrap(), known.iter());
        assert!(found.is_empty());
        let letters = limits::ID_MAX_BYTES as u64;
        // Of a candidate 13 ways are tried, each over no more letters than the name has.
        let most = (known.len() + 13 * limits::NEAR_CANDIDATES) as u64 * letters;
        assert!(search.steps <= most, "{} steps", search.steps);
    }
}
