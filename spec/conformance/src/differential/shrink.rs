//! Making a failing history small.

use std::collections::BTreeMap;

use super::{Coverage, attempt};
use crate::directive::Directive;
use crate::lockstep::WorldTime;
use crate::model::ModelSystem;
use crate::subject::Subject;
use crate::system::SystemUnderTest;
use mailbus_spec::machine::Event;
use mailbus_spec::ordinal::Ordinal;

/// Number of times that a failing case is run again, at most.
const RUNS: u32 = 2_000;

/// Deletes what can be deleted while the history still fails, in ever smaller pieces, to a fixpoint.
pub(super) async fn shrunk<S: Subject, T: SystemUnderTest<S>>(
    mut directives: Vec<Directive<S>>,
    mut difference: String,
    system: &mut T,
) -> (Vec<Directive<S>>, String) {
    let mut runs = RUNS;
    let mut piece = directives.len().div_ceil(2).max(1);
    loop {
        let mut deleted = false;
        let mut at = 0;
        while at < directives.len() && runs > 0 {
            runs -= 1;
            let fewer = without(&directives, at, (at + piece).min(directives.len()));
            match attempt(&fewer, system, &mut Coverage::new()).await {
                Ok(()) => at += piece,
                Err(still) => {
                    (directives, difference, deleted) = (fewer, still, true);
                }
            }
        }
        if runs == 0 || (piece == 1 && !deleted) {
            return (directives, difference);
        }
        piece = piece.div_ceil(2);
    }
}

/// The directives without those from `start` to `end`. Tokens are anchored in what was issued before
/// them; those of what is left are written as they are issued then.
fn without<S: Subject>(directives: &[Directive<S>], start: usize, end: usize) -> Vec<Directive<S>> {
    let mut before = World::<S>::default();
    let mut after = World::<S>::default();
    let mut names: BTreeMap<Ordinal, Ordinal> = BTreeMap::new();
    let mut fewer = Vec::new();
    for (index, directive) in directives.iter().enumerate() {
        let issued_before = before.apply(directive);
        if (start..end).contains(&index) {
            continue;
        }
        let mut rename = |ordinal| names.get(&ordinal).copied().unwrap_or(ordinal);
        let renamed = match directive {
            Directive::Commands(commands) => Directive::Commands(
                commands.iter().map(|command| S::with_ordinals(command, &mut rename)).collect(),
            ),
            Directive::Disconnect(peer) => {
                Directive::Disconnect(S::peer_with_ordinals(peer, &mut rename))
            }
            other => other.clone(),
        };
        let issued_after = after.apply(&renamed);
        if issued_before.len() == issued_after.len() {
            names.extend(issued_before.into_iter().zip(issued_after));
        }
        fewer.push(renamed);
    }
    fewer
}

#[derive(Default)]
struct World<S: Subject> {
    model: ModelSystem<S>,
    time: WorldTime,
}

impl<S: Subject> World<S> {
    /// Does a directive on the specification; says which tokens were shown.
    fn apply(&mut self, directive: &Directive<S>) -> Vec<Ordinal> {
        if let Some(host) = self.time.after(directive) {
            self.model.host = host;
        }
        let mut steps = Vec::new();
        match directive {
            Directive::Commands(commands) => {
                for command in commands {
                    steps.push(self.model.handle(&Event::Command(command.clone())));
                }
            }
            Directive::Alarm => steps.push(self.model.handle(&Event::Alarm)),
            Directive::Disconnect(peer) => self.model.close(peer),
            Directive::Crash => self.model.break_sockets(),
            Directive::Bookmark(name) => self.model.mark(name),
            Directive::Restore(name) => self.model.set_back(name),
            _ => {}
        }
        let mut shown = Vec::new();
        for step in &steps {
            let reply = step.reply.iter();
            shown.extend(reply.flat_map(|reply| S::ordinals_in_answer(&reply.answer)));
            shown.extend(step.pushes.iter().flat_map(S::ordinals_in_push));
        }
        shown
    }
}
