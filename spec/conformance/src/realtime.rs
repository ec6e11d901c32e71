//! A case on a real clock: run as it comes, then replayed at the times that the commits name.
//!
//! Tokens in a case are those of exact time. The specification runs the case beside the system, with
//! exact time, only to learn which token of the system stands for which token of the case. What has
//! sessions is explained by [`sequential`], all else by [`explain`].

use std::collections::BTreeMap;

use super::directive::{Directive, needs};
use super::linearize::sequential::{self, Entry};
use super::linearize::{Explanation, History, Invocation, Outcome, explain};
use super::lockstep::WorldTime;
use super::model::ModelSystem;
use super::notation::{EXACT_START, Epoch};
use super::subject::{ReplyOf, Subject};
use super::system::{Failure, SystemUnderTest};
use mailbus_spec::ordinal::Ordinal;

/// Time to wait beyond a sleep, in ms, so that what ends then has ended.
const MARGIN_MS: u64 = 5;

/// Runs a case on a system with a real clock.
///
/// # Errors
/// Why no order of events explains what the system said, for a reader.
pub async fn run<S: Subject, T: SystemUnderTest<S>>(
    directives: &[Directive<S>],
    system: &mut T,
) -> Result<Explanation<S>, String> {
    let needs = needs(directives);
    let mut run = Run {
        system,
        history: History::default(),
        entries: Vec::new(),
        ideal: ModelSystem::begun(&needs),
        time: WorldTime::default(),
        tokens: BTreeMap::new(),
        shift_ms: 0,
        generation: 0,
        moment: 0,
        has_begun: false,
    };
    run.system.begin(&needs).await.map_err(|failure| failure.to_string())?;
    run.learn_the_time().await.map_err(|failure| failure.to_string())?;
    for directive in directives {
        run.directive(directive).await.map_err(|failure| {
            format!("after `{}`: {failure}", directive.spell(Epoch(EXACT_START)))
        })?;
    }
    run.finish().await.map_err(|failure| failure.to_string())?;
    if S::HAS_SESSIONS {
        return sequential::replay(&run.entries);
    }
    explain(&run.history).map_err(|contradiction| contradiction.to_string())
}

struct Run<'a, S: Subject, T> {
    system: &'a mut T,
    history: History<S>,
    /// The same in the order in which it happened, for what has sessions.
    entries: Vec<Entry<S>>,
    ideal: ModelSystem<S>,
    time: WorldTime,
    tokens: BTreeMap<Ordinal, Ordinal>,
    /// Lead of the system's clock over the case's at the start.
    shift_ms: i64,
    /// The system's generation, as of its last reply.
    generation: u64,
    moment: u64,
    /// True if a command of the case was sent.
    has_begun: bool,
}

impl<S: Subject, T: SystemUnderTest<S>> Run<'_, S, T> {
    async fn directive(&mut self, directive: &Directive<S>) -> Result<(), Failure> {
        match directive {
            Directive::Commands(commands) => {
                for command in commands {
                    self.command(command).await?;
                }
            }
            Directive::At(_) => {
                let before = self.ideal.host;
                if let Some(host) = self.time.after(directive) {
                    self.ideal.host = host;
                    let ms = host.0.saturating_sub(before.0);
                    self.system.sleep(ms.saturating_add(MARGIN_MS)).await;
                }
            }
            Directive::Connect(peer) => {
                self.system.connect(peer).await?;
                if !self.has_begun {
                    self.history.listening.insert(peer.clone());
                }
            }
            Directive::Disconnect(peer) => {
                if S::HAS_SESSIONS && self.ideal.closing(peer).is_none() {
                    return Ok(());
                }
                self.collect().await?;
                self.history.listening.remove(peer);
                let named = S::peer_with_ordinals(peer, &mut |ordinal| self.translated(ordinal));
                self.system.disconnect(&named).await?;
                self.entries.push(Entry::Closed(named));
                self.ideal.close(peer);
            }
            Directive::Evict => self.system.evict().await?,
            Directive::Crash => {
                self.collect().await?;
                self.history.listening.clear();
                self.system.crash().await?;
                self.entries.push(Entry::Crashed);
                self.ideal.break_sockets();
            }
            Directive::Alarm => self.system.ring_alarm().await?,
            Directive::Pending
            | Directive::Skew(_)
            | Directive::Clock(_)
            | Directive::Bookmark(_)
            | Directive::Restore(_) => {
                let capability = directive.capability();
                return Err(capability.map_or_else(
                    || Failure::Broken(String::from("not for a real clock")),
                    Failure::Unsupported,
                ));
            }
        }
        Ok(())
    }

    async fn learn_the_time(&mut self) -> Result<(), Failure> {
        let now = self.call(S::probe()).await?.commit.now;
        self.shift_ms =
            i64::try_from(now.ms()).unwrap_or(0) - i64::try_from(EXACT_START.0).unwrap_or(0);
        Ok(())
    }

    async fn command(&mut self, command: &S::Command) -> Result<(), Failure> {
        self.has_begun = true;
        if !self.ideal.machine.is_sayable(command) {
            return Ok(());
        }
        let translated = S::with_ordinals(command, &mut |ordinal| self.translated(ordinal));
        let ours = self.ideal.machine.position().0;
        let theirs = self.generation;
        let translated = S::with_generation(&translated, &mut |named| {
            if named == ours { theirs } else { named }
        });
        let reply = self.call(translated).await?;
        let ideal = self.ideal.command(command);
        let theirs = S::ordinals_in_answer(&reply.answer);
        let ours = S::ordinals_in_answer(&ideal.answer);
        if ours.len() == theirs.len() {
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                self.tokens.entry(ours).or_insert(theirs);
            }
        }
        Ok(())
    }

    /// A token as it was issued, or one that was made up, as far from the start.
    fn translated(&self, ordinal: Ordinal) -> Ordinal {
        let shifted = || {
            let shift = self.shift_ms.checked_mul(1 << Ordinal::SHIFT)?;
            Ordinal::new(ordinal.get().checked_add_signed(shift)?)
        };
        self.tokens.get(&ordinal).copied().or_else(shifted).unwrap_or(ordinal)
    }

    async fn call(&mut self, command: S::Command) -> Result<ReplyOf<S>, Failure> {
        let reply = self.system.call(&command).await?;
        self.generation = reply.commit.generation;
        self.entries.push(Entry::Called { command: command.clone(), reply: reply.clone() });
        self.history.invocations.push(Invocation {
            client: 0,
            started: self.moment,
            ended: Some(self.moment + 1),
            command,
            outcome: Outcome::Replied(reply.clone()),
        });
        self.moment += 2;
        Ok(reply)
    }

    async fn collect(&mut self) -> Result<(), Failure> {
        let received = self.system.received().await?;
        self.history.received.extend(received.iter().cloned());
        self.entries.push(Entry::Received(received));
        Ok(())
    }

    /// Alarms go on ringing while pushes are collected, so the sequence is looked at before and after.
    async fn finish(&mut self) -> Result<(), Failure> {
        self.collect().await?;
        let reply = self.call(S::probe()).await?;
        self.history.complete_until = reply.commit.sequence;
        self.collect().await?;
        self.call(S::probe()).await?;
        Ok(())
    }
}
