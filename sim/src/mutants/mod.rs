//! Planted bugs: realistic mistakes, each made at a seam of the [system under test](crate::sut), which the
//! simulator has to catch. They show that the invariants can fail, and which of them is needed.
//!
//! | file | whose they are |
//! |---|---|
//! | `client` | the client's: one of its rules replaced, or what its carrier brings changed |
//! | `object` | the objects': [mutants of the specification](mailbus_conformance::mutants) in production's place |
//! | `shell` | the shell's: what an event has an effect on besides storage |
//! | `plans` | the plans in which they are looked for |
//! | `hunt` | what a planted bug is, and the hunt for them, seed after seed |
//!
//! A name is what somebody did, and its `source` the heading of `spec/rules` that says why not. Bugs of mail are
//! looked for in plans without leases, and those of leases in plans without mail.

mod client;
mod hunt;
mod object;
mod plans;
mod shell;

pub use hunt::{Catch, PARTS, PlantedBug, SEEDS, catch, hunt};

/// Every planted bug.
pub static GALLERY: std::sync::LazyLock<Vec<PlantedBug>> = std::sync::LazyLock::new(|| {
    let of_leases = [client::OF_LEASES, object::OF_LEASES];
    let of_mailboxes = [client::OF_MAILBOXES, object::OF_MAILBOXES];
    let of_the_host: &[PlantedBug] = &[shell::ALARM_FOLLOWS_THE_WALL_CLOCK_ALONE];
    [of_leases.concat(), of_mailboxes.concat(), of_the_host.to_vec()].concat()
});

/// Bug that no plan could reproduce: for the check that a plan run twice gives one event log.
pub const CANARY: PlantedBug = object::CANARY;

/// The bug with this name, the canary among them.
#[must_use]
pub fn named(name: &str) -> Option<PlantedBug> {
    GALLERY.iter().chain([&CANARY]).find(|mutant| mutant.name == name).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mailbus_spec::machine::Event;
    use mailbus_spec::mailbox::{Ask, Fate, Outcome};

    use super::*;
    use crate::sut::Sut;
    use crate::{engine, judge};

    #[test]
    fn every_bug_has_a_name_of_its_own_and_an_invariant_that_must_find_it() {
        let names: BTreeSet<&str> = GALLERY.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), GALLERY.len());
        for mutant in GALLERY.iter() {
            assert!(judge::names().any(|name| name == mutant.breaks), "{}", mutant.name);
            assert!(!judge::compares(mutant.breaks), "{} breaks a promise", mutant.name);
            assert_eq!(named(mutant.name).map(|mutant| mutant.breaks), Some(mutant.breaks));
        }
    }

    #[test]
    fn where_letters_are_redriven_some_have_died_of_failures() {
        let history = engine::run_until_healed(&plans::redrives(0), Sut::SPEC);
        let (mut died, mut redriven) = (BTreeSet::new(), 0);
        for event in history.mail.events() {
            let Event::Command(command) = &event.event else { continue };
            let answer = event.step.reply.as_ref().map(|reply| &reply.answer);
            match (&command.ask, answer) {
                (Ask::Nack { agent, seq, .. }, Some(Ok(Outcome::Returned(Fate::Dead)))) => {
                    died.insert((agent.clone(), *seq));
                }
                (
                    Ask::Redrive { agent, seqs },
                    Some(Ok(Outcome::Redriven { redriven: 1.., .. })),
                ) => {
                    let again = seqs.iter().filter(|seq| died.contains(&(agent.clone(), **seq)));
                    redriven += again.count();
                }
                _ => {}
            }
        }
        assert!(redriven > 0, "{} letters died of failures", died.len());
    }

    #[test]
    fn every_invariant_has_a_bug_that_it_must_find() {
        let found: BTreeSet<&str> = GALLERY.iter().map(|mutant| mutant.breaks).collect();
        let idle: Vec<&str> =
            judge::names().filter(|name| !judge::compares(name) && !found.contains(name)).collect();
        assert!(idle.is_empty(), "no planted mutant for {idle:?}");
    }
}
