//! History of one client, on a system whose sessions begin and end by command.
//!
//! Its calls came one after the other, so their order is known, and no reply is unknown. Hidden are
//! alarms only: an alarm pushes what has come due, and whether it rang before the next call shows in what
//! that call finds. So all worlds that agree with what was seen are followed side by side; most of them
//! soon are one again.

use std::collections::BTreeMap;

use super::hints::hosts_of;
use super::{Explained, Explanation};
use crate::lockstep::{spell_push, spell_reply};
use crate::notation::Epoch;
use crate::subject::{ReplyOf, Subject};
use mailbus_spec::machine::Event;
use mailbus_spec::time::{HostTime, Timestamp};

/// Most worlds that are followed side by side.
const WORLDS_MAX: usize = 1_000;

/// Most alarms that may have rung between two calls.
const ALARMS_MAX: usize = 16;

/// One thing that the client did or saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<S: Subject> {
    /// It called, and was answered.
    Called {
        /// Command that it asked.
        command: S::Command,
        /// Reply that it was given.
        reply: ReplyOf<S>,
    },
    /// It closed a session's socket; the object knows before the next call.
    Closed(S::Peer),
    /// The object was killed: all sessions are over, and nothing was recorded.
    Crashed,
    /// All that had been pushed before has arrived: this, and nothing else.
    Received(Vec<S::Push>),
}

/// Reason why no world agrees with what was seen, for a reader.
type Difference = String;

/// Pushes to each session, in order.
type Pushed<S> =
    BTreeMap<<S as mailbus_spec::Service>::Peer, Vec<<S as mailbus_spec::StateMachine>::Push>>;

/// A way in which it may have been.
#[derive(Clone)]
struct World<S: Subject> {
    machine: S,
    pushed: Pushed<S>,
    trail: Vec<Explained<S>>,
}

/// Replays the entries through the specification, at the times that the replies' commits name.
///
/// # Errors
/// The first thing that the specification does not explain.
pub fn replay<S: Subject>(entries: &[Entry<S>]) -> Result<Explanation<S>, Difference> {
    let mut replay = Replay {
        epoch: Epoch(HostTime(latest(entries).map_or(0, Timestamp::ms))),
        worlds: vec![World { machine: S::default(), pushed: BTreeMap::new(), trail: Vec::new() }],
        seen: BTreeMap::new(),
        tried: 0,
    };
    for (index, entry) in entries.iter().enumerate() {
        // Between this entry and the next call nothing is later than that call.
        let latest = entries.get(index..).and_then(latest);
        replay.entry(index, entry, latest)?;
    }
    let tried = replay.tried;
    let world = replay.worlds.into_iter().next();
    let World { machine, trail, .. } = world.ok_or("nothing agrees with what was seen")?;
    Ok(Explanation { order: trail, last: machine, tried })
}

/// The object time of the next reply.
fn latest<S: Subject>(entries: &[Entry<S>]) -> Option<Timestamp> {
    entries.iter().find_map(|entry| match entry {
        Entry::Called { reply, .. } => Some(reply.commit.now),
        _ => None,
    })
}

struct Replay<S: Subject> {
    epoch: Epoch,
    worlds: Vec<World<S>>,
    /// Pushes that each session has received.
    seen: Pushed<S>,
    tried: u64,
}

impl<S: Subject> Replay<S> {
    fn entry(
        &mut self,
        index: usize,
        entry: &Entry<S>,
        latest: Option<Timestamp>,
    ) -> Result<(), Difference> {
        match entry {
            Entry::Called { command, reply } => self.called(index, command, reply),
            Entry::Received(pushes) => self.received(pushes),
            Entry::Closed(peer) => {
                self.ring(latest)?;
                self.keep(|world, seen| arrived::<S>(world, seen, Some(peer)))?;
                for world in &mut self.worlds {
                    world.pushed.remove(peer);
                    let at = latest.unwrap_or(world.machine.clock().floor);
                    if let Some(command) = S::closing(peer) {
                        world.event(None, at, &Event::Command(command));
                    }
                    world.pushed.remove(peer);
                }
                self.seen.remove(peer);
                Ok(())
            }
            Entry::Crashed => {
                self.ring(latest)?;
                self.keep(|world, seen| arrived::<S>(world, seen, None))?;
                for world in &mut self.worlds {
                    world.pushed.clear();
                    world.machine.break_sessions();
                }
                self.seen.clear();
                Ok(())
            }
        }
    }

    fn called(
        &mut self,
        index: usize,
        command: &S::Command,
        reply: &ReplyOf<S>,
    ) -> Result<(), Difference> {
        self.ring(Some(reply.commit.now))?;
        let event = Event::Command(command.clone());
        let mut agreeing = Vec::new();
        let mut expected = None;
        for mut world in core::mem::take(&mut self.worlds) {
            for host in hosts_of(&world.machine, reply) {
                let before = world.machine.clone();
                let step = world.machine.handle(host, &event);
                self.tried += 1;
                if step.reply.as_ref() == Some(reply) {
                    world.note(Some(index), reply.commit.now, step.pushes);
                    agreeing.push(world);
                    break;
                }
                world.machine = before;
                expected = expected.or(step.reply);
            }
        }
        self.worlds = agreeing;
        if self.worlds.is_empty() {
            let asked = S::spell_command(command, self.epoch);
            return Err(format!(
                "  {asked}\n  was answered        {}\n  the specification   {}",
                self.spell(reply),
                expected.as_ref().map(|reply| self.spell(reply)).unwrap_or_default(),
            ));
        }
        self.merge();
        self.keep(|world, seen| arrived::<S>(world, seen, None))
    }

    fn received(&mut self, pushes: &[S::Push]) -> Result<(), Difference> {
        for push in pushes {
            self.seen.entry(S::addressee(push).clone()).or_default().push(push.clone());
        }
        self.keep(|world, seen| {
            let all = world.pushed.iter();
            let lost = |(peer, pushed): &(&S::Peer, &Vec<S::Push>)| {
                let seen = seen.get(*peer).map(Vec::as_slice).unwrap_or_default();
                !seen.starts_with(pushed)
            };
            all.into_iter().find(lost).map(|(peer, _)| peer.clone())
        })
    }

    /// Alarms may have rung, up to this time, or not.
    fn ring(&mut self, until: Option<Timestamp>) -> Result<(), Difference> {
        let Some(until) = until else { return Ok(()) };
        let rings = |world: &&World<S>| world.machine.next_alarm().is_some_and(|due| due <= until);
        let mut fresh: Vec<World<S>> = self.worlds.iter().filter(rings).cloned().collect();
        for _ in 0..ALARMS_MAX {
            let mut next = Vec::new();
            for world in &fresh {
                let Some(due) = world.machine.next_alarm().filter(|due| *due <= until) else {
                    continue;
                };
                let points = world.machine.turning_points();
                let times = points.range(due..=until).copied().chain([due]);
                for at in times {
                    let mut after = world.clone();
                    let did_something = after.event(None, at, &Event::Alarm);
                    let is_new = did_something
                        && !self.worlds.iter().chain(&next).any(|known| known.is_like(&after));
                    if is_new {
                        next.push(after);
                    }
                }
            }
            if next.is_empty() {
                break;
            }
            self.worlds.extend(next.iter().cloned());
            if self.worlds.len() > WORLDS_MAX {
                return Err(format!(
                    "there are more than {WORLDS_MAX} ways in which it may have been"
                ));
            }
            fresh = next;
        }
        Ok(())
    }

    /// Drops the worlds of which this names a session whose pushes do not agree.
    fn keep(
        &mut self,
        differs: impl Fn(&World<S>, &Pushed<S>) -> Option<S::Peer>,
    ) -> Result<(), Difference> {
        let mut difference = None;
        let (seen, epoch) = (&self.seen, self.epoch);
        self.worlds.retain(|world| {
            let peer = differs(world, seen);
            if let Some(peer) = &peer {
                difference = Some(spell_difference(world, seen, peer, epoch));
            }
            peer.is_none()
        });
        if self.worlds.is_empty() { Err(difference.unwrap_or_default()) } else { Ok(()) }
    }

    fn merge(&mut self) {
        let mut merged: Vec<World<S>> = Vec::new();
        for world in core::mem::take(&mut self.worlds) {
            if !merged.iter().any(|known| known.is_like(&world)) {
                merged.push(world);
            }
        }
        self.worlds = merged;
    }

    fn spell(&self, reply: &ReplyOf<S>) -> String {
        let text = spell_reply::<S>(reply, &mut { reply.commit.generation }, self.epoch);
        format!("{text} (generation {})", self.epoch.spell_generation(reply.commit.generation))
    }
}

/// A session that has received what this world did not push.
fn arrived<S: Subject>(
    world: &World<S>,
    seen: &Pushed<S>,
    only: Option<&S::Peer>,
) -> Option<S::Peer> {
    let made_up = |(peer, seen): &(&S::Peer, &Vec<S::Push>)| {
        let pushed = world.pushed.get(*peer).map(Vec::as_slice).unwrap_or_default();
        only.is_none_or(|only| only == *peer) && !pushed.starts_with(seen)
    };
    seen.iter().find(made_up).map(|(peer, _)| peer.clone())
}

fn spell_difference<S: Subject>(
    world: &World<S>,
    seen: &Pushed<S>,
    peer: &S::Peer,
    epoch: Epoch,
) -> Difference {
    let lines = |pushes: Option<&Vec<S::Push>>| -> String {
        let lines = pushes.into_iter().flatten().map(|push| spell_push::<S>(push, epoch));
        lines.map(|line| line.trim().to_string()).collect::<Vec<_>>().join("; ")
    };
    let (seen, pushed) = (lines(seen.get(peer)), lines(world.pushed.get(peer)));
    format!("  received            [{seen}]\n  the specification   [{pushed}]")
}

impl<S: Subject> World<S> {
    /// A hidden event; says whether it did anything.
    fn event(
        &mut self,
        invocation: Option<usize>,
        at: Timestamp,
        event: &Event<S::Command>,
    ) -> bool {
        let host = self.machine.clock().host_at(at);
        let step = self.machine.handle(host, event);
        let did_something = step.wrote || !step.pushes.is_empty();
        if did_something {
            self.note(invocation, at, step.pushes);
        }
        did_something
    }

    fn note(&mut self, invocation: Option<usize>, now: Timestamp, pushes: Vec<S::Push>) {
        for push in pushes {
            self.pushed.entry(S::addressee(&push).clone()).or_default().push(push);
        }
        let (sequence, hidden) = (self.machine.position().1, invocation.is_none());
        self.trail.push(Explained { invocation, now, sequence, hidden, pushes: Vec::new() });
    }

    fn is_like(&self, other: &Self) -> bool {
        self.machine == other.machine && self.pushed == other.pushed
    }
}
