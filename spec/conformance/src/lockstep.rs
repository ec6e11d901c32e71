//! Exact comparison: the system and the specification do the same events at the same times, and
//! everything visible is compared after each.

use core::fmt;

use super::directive::{Directive, needs};
use super::model::ModelSystem;
use super::notation::{EXACT_START, Epoch};
use super::subject::{ReplyOf, Subject};
use super::system::{Capability, Failure, SystemUnderTest};
use mailbus_spec::machine::Event;
use mailbus_spec::time::HostTime;

/// Place where a system said something else than the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Directive by its number, from 0.
    pub at: usize,
    /// The line.
    pub directive: String,
    /// Answer of the specification.
    pub expected: String,
    /// Answer of the system.
    pub actual: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after `{}`", self.directive)?;
        writeln!(f, "  the specification: {}", self.expected)?;
        write!(f, "  the system:        {}", self.actual)
    }
}

impl core::error::Error for Disagreement {}

/// One directive's visible effects, as lines of a script.
pub type Lines = Vec<String>;

/// Runs a case on a system with exact time beside the specification. `show` gets, for each directive,
/// what the *specification* shows.
///
/// # Errors
/// The first disagreement. A system that fails, disagrees.
pub async fn run<S: Subject, T: SystemUnderTest<S>>(
    directives: &[Directive<S>],
    system: &mut T,
    mut show: impl FnMut(Lines),
) -> Result<(), Disagreement> {
    let needs = needs(directives);
    let mut run = Run {
        model: ModelSystem::begun(&needs),
        system,
        time: WorldTime::default(),
        generation: 0,
        at: 0,
        directive: String::from("begin"),
    };
    let begun = run.system.begin(&needs).await;
    run.agree(begun)?;
    for (at, directive) in directives.iter().enumerate() {
        run.at = at;
        run.directive = match directive {
            Directive::Commands(commands) if commands.len() > 1 => String::from("times …"),
            one => one.spell(EPOCH),
        };
        let lines = run.directive(directive).await?;
        show(lines);
    }
    Ok(())
}

const EPOCH: Epoch = Epoch(EXACT_START);

/// True time and what is wrong with the host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorldTime {
    elapsed: u64,
    skew: i64,
    stuck: Option<HostTime>,
}

impl WorldTime {
    /// Time by the host's clock after a directive; `None` if the directive is not about time.
    pub(super) fn after<S: Subject>(&mut self, directive: &Directive<S>) -> Option<HostTime> {
        match directive {
            Directive::At(ms) => self.elapsed = self.elapsed.max(*ms),
            Directive::Skew(offset) => self.skew = *offset,
            Directive::Clock(host) => self.stuck = Some(*host),
            _ => return None,
        }
        if !matches!(directive, Directive::Clock(_)) {
            self.stuck = None;
        }
        let elapsed = i64::try_from(self.elapsed).unwrap_or(i64::MAX);
        Some(self.stuck.unwrap_or_else(|| EPOCH.host_at(elapsed.saturating_add(self.skew))))
    }
}

struct Run<'a, S: Subject, T> {
    model: ModelSystem<S>,
    system: &'a mut T,
    time: WorldTime,
    generation: u64,
    at: usize,
    directive: String,
}

impl<S: Subject, T: SystemUnderTest<S>> Run<'_, S, T> {
    async fn directive(&mut self, directive: &Directive<S>) -> Result<Lines, Disagreement> {
        let mut lines = Lines::new();
        match directive {
            Directive::Commands(commands) => lines = self.commands(commands).await?,
            Directive::At(_) | Directive::Skew(_) | Directive::Clock(_) => {
                if let Some(host) = self.time.after(directive) {
                    self.model.host = host;
                    let set = self.system.set_host(host).await;
                    self.agree(set)?;
                }
            }
            Directive::Alarm => {
                let rows = self.counted(&Event::Alarm, false);
                let rang = self.system.ring_alarm().await;
                self.agree(rang)?;
                self.within_budget(rows)?;
            }
            Directive::Pending => lines.push(self.pending().await?),
            Directive::Connect(peer) => {
                self.model.open(peer);
                let opened = self.system.connect(peer).await;
                self.agree(opened)?;
            }
            Directive::Disconnect(peer) => {
                let closing = self.model.closing(peer);
                if S::HAS_SESSIONS && closing.is_none() {
                    return Ok(lines);
                }
                let rows = closing.map(|event| self.counted(&event, false));
                self.model.hang_up(peer);
                let closed = self.system.disconnect(peer).await;
                self.agree(closed)?;
                if let Some(rows) = rows {
                    self.within_budget(rows)?;
                }
            }
            Directive::Evict => {
                let evicted = self.system.evict().await;
                self.agree(evicted)?;
            }
            Directive::Crash => {
                self.model.break_sockets();
                let crashed = self.system.crash().await;
                self.agree(crashed)?;
            }
            Directive::Bookmark(name) => {
                self.model.mark(name);
                let marked = self.system.bookmark(name).await;
                self.agree(marked)?;
            }
            Directive::Restore(name) => {
                self.model.set_back(name);
                let restored = self.system.restore(name).await;
                self.agree(restored)?;
            }
        }
        lines.extend(self.pushes().await?);
        Ok(lines)
    }

    async fn commands(&mut self, commands: &[S::Command]) -> Result<Lines, Disagreement> {
        let mut line = String::new();
        for command in commands {
            if !self.model.machine.is_sayable(command) {
                continue;
            }
            let many = commands.len() > 1;
            let budget = self.counted(&Event::Command(command.clone()), many);
            let expected = budget.reply.clone();
            let answered = self.system.call(command).await;
            let actual = self.agree(answered)?;
            let Some(expected) = expected else { continue };
            if expected != actual {
                let directive = S::spell_command(command, EPOCH);
                let expected = self.spell_exactly(&expected);
                let actual = self.spell_exactly(&actual);
                return Err(Disagreement { at: self.at, directive, expected, actual });
            }
            self.within_budget(budget)?;
            line = spell_reply::<S>(&expected, &mut self.generation, EPOCH);
        }
        if commands.len() > 1 {
            line = format!("{} replies, the last: {line}", commands.len());
        }
        Ok(if line.is_empty() { Lines::new() } else { vec![line] })
    }

    /// Does the event on the model and notes what it may cost.
    fn counted(&mut self, event: &Event<S::Command>, many: bool) -> Counted<S> {
        // The state may be large where a line stands for many commands, and is not copied there.
        let counts = self.system.rows_written().is_some() && !many;
        let before = counts.then(|| self.model.machine.clone());
        let step = self.model.handle(event);
        let budget = |before| S::row_budget(&before, &step, &self.model.machine);
        let most = before.map_or(u64::MAX, budget);
        Counted {
            reply: step.reply,
            wrote: step.wrote,
            most,
            collects: matches!(event, Event::Alarm),
        }
    }

    /// An alarm deletes as many rows as it likes.
    fn within_budget(&mut self, allowed: Counted<S>) -> Result<(), Disagreement> {
        let Some(rows) = self.system.rows_written() else { return Ok(()) };
        let fits = if allowed.wrote {
            rows.rows > 0 && (allowed.collects || rows.rows <= allowed.most) && rows.alarms <= 1
        } else {
            rows.rows == 0
        };
        if fits {
            return Ok(());
        }
        let expected = match (allowed.wrote, allowed.collects) {
            (false, _) => String::from("nothing is written"),
            (true, true) => String::from("at least one row and at most one alarm"),
            (true, false) => format!("1 to {} rows and at most one alarm", allowed.most),
        };
        Err(self.disagree(expected, format!("{rows:?}")))
    }

    async fn pending(&mut self) -> Result<String, Disagreement> {
        let spell = |at: Option<HostTime>| match at {
            Some(at) => format!("alarm pending for {}", EPOCH.spell_host(at)),
            None => String::from("no alarm pending"),
        };
        let expected = spell(self.model.pending);
        let asked = self.system.pending_alarm().await;
        let actual = self.agree(asked)?;
        if actual == self.model.pending || self.model.alarm_will_do(actual) {
            Ok(expected)
        } else {
            Err(self.disagree(expected, spell(actual)))
        }
    }

    async fn pushes(&mut self) -> Result<Lines, Disagreement> {
        let mut expected = self.model.take_received();
        if !self.system.capabilities().has(Capability::Sockets) {
            return Ok(Lines::new());
        }
        let received = self.system.received().await;
        let mut actual = self.agree(received)?;
        // Between two peers there is no order to be seen.
        expected.sort_by(|a, b| S::addressee(a).cmp(S::addressee(b)));
        actual.sort_by(|a, b| S::addressee(a).cmp(S::addressee(b)));
        let lines = |pushes: &[S::Push]| -> Lines {
            pushes.iter().map(|push| spell_push::<S>(push, EPOCH)).collect()
        };
        if expected == actual {
            Ok(lines(&expected))
        } else {
            let all = |pushes| format!("pushes [{}]", lines(pushes).join("; "));
            Err(self.disagree(all(&expected), all(&actual)))
        }
    }

    fn spell_exactly(&self, reply: &ReplyOf<S>) -> String {
        let text = spell_reply::<S>(reply, &mut { reply.commit.generation }, EPOCH);
        format!("{text} (generation {})", EPOCH.spell_generation(reply.commit.generation))
    }

    fn agree<V>(&self, answered: Result<V, Failure>) -> Result<V, Disagreement> {
        answered.map_err(|failure| self.disagree(String::from("it is done"), format!("{failure}")))
    }

    fn disagree(&self, expected: String, actual: String) -> Disagreement {
        Disagreement { at: self.at, directive: self.directive.clone(), expected, actual }
    }
}

struct Counted<S: Subject> {
    reply: Option<ReplyOf<S>>,
    wrote: bool,
    most: u64,
    collects: bool,
}

/// A reply with its commit: `[3 +30s] granted …`. The generation is shown when it changes.
pub(super) fn spell_reply<S: Subject>(
    reply: &ReplyOf<S>,
    generation: &mut u64,
    epoch: Epoch,
) -> String {
    let commit = &reply.commit;
    let before = core::mem::replace(generation, commit.generation);
    let changed = if before != 0 && before != commit.generation {
        format!(", generation {}", epoch.spell_generation(commit.generation))
    } else {
        String::new()
    };
    let answer = S::spell_answer(&reply.answer, epoch);
    format!("[{} {}{changed}] {answer}", commit.sequence, epoch.spell(commit.now))
}

/// A push with its addressee: `  > bob/1 granted …`.
pub(super) fn spell_push<S: Subject>(push: &S::Push, epoch: Epoch) -> String {
    let to = S::spell_peer(S::addressee(push), epoch);
    format!("  > {to} {}", S::spell_push(push, epoch))
}
