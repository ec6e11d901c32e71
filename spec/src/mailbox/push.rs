//! Pushes of messages: which, to whom, and in which order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::Notice;
use crate::mailbox::command::Window;
use crate::mailbox::machine::Turn;
use crate::mailbox::state::{Agent, Flight, MailboxMachine, Open, Session};
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

impl Session {
    /// Takes a delivery out of flight.
    pub(super) fn land(&mut self, seq: Ordinal) -> Option<Flight> {
        if self.working == Some(seq) {
            self.working = None;
        }
        self.flights.remove(&seq)
    }

    /// True if one more push keeps the window. A single message may exceed its bytes; a session without one
    /// bounds its redeliveries alone, since its socket has to remember those one by one.
    fn allows(&self, inbox: &BTreeMap<Ordinal, Open>, open: &Open) -> bool {
        let Some(window) = self.window else {
            let again = self.flights.values().filter(|flight| flight.again).count() as u64;
            return open.due.is_none() || again < limits::WINDOWLESS_REDELIVERIES;
        };
        let bytes = self.flights.keys().filter_map(|seq| inbox.get(seq)).map(|open| open.bytes);
        let bytes = bytes.fold(open.bytes, u64::saturating_add);
        self.flights.is_empty()
            || ((self.flights.len() as u64) < window.messages() && bytes <= window.bytes())
    }
}

impl Agent {
    /// Time from which the session is pushed what has no time of its own: `None` for at once. With as many
    /// messages delayed as may be, it is that at which one fewer is
    /// ([refuted](crate::rules::refuted#delays-that-end-where-many-wait)).
    #[must_use]
    pub fn fresh_from(&self) -> Option<Timestamp> {
        let live = self.live.as_ref()?;
        let waiting = self.inbox.open.iter().filter(|(seq, _)| !live.flights.contains_key(seq));
        let mut due_times: Vec<Timestamp> = waiting.filter_map(|(_, open)| open.due).collect();
        due_times.sort_unstable();
        let most = live.window.unwrap_or(Window::DEFAULT).delayed();
        let before = usize::try_from(most).ok()?.checked_sub(1)?;
        due_times.into_iter().rev().nth(before)
    }

    /// The message to push next at `now`: the lowest that is pending, not in flight and due, unless the
    /// window forbids it. What is younger waits with it.
    fn next_due(&self, now: Timestamp) -> Option<(Ordinal, Open)> {
        let live = self.live.as_ref()?;
        let fresh_from = self.fresh_from();
        let waiting = |(seq, open): &(&Ordinal, &Open)| {
            let due = open.due.or(fresh_from);
            !live.flights.contains_key(seq) && due.is_none_or(|due| due <= now)
        };
        let (seq, open) = self.inbox.open.iter().find(waiting)?;
        live.allows(&self.inbox.open, open).then_some((*seq, *open))
    }

    /// Time at which something can be pushed although nothing else happens, not before `floor`: at once,
    /// for what is left over. What is due by then counts together, since only the lowest of it could be
    /// pushed.
    fn next_push(&self, floor: Timestamp) -> Option<Timestamp> {
        let live = self.live.as_ref()?;
        let waiting = self.inbox.open.iter().filter(|(seq, _)| !live.flights.contains_key(seq));
        let fresh_from = self.fresh_from();
        let due_of = |open: &Open| open.due.or(fresh_from).map_or(floor, |due| due.max(floor));
        let mut by_due: Vec<(Timestamp, Ordinal, Open)> =
            waiting.map(|(seq, open)| (due_of(open), *seq, *open)).collect();
        by_due.sort_by_key(|(due, seq, _)| (*due, *seq));
        let mut lowest: Option<(Ordinal, Open)> = None;
        let mut due_times = by_due.iter().peekable();
        while let Some((due, seq, open)) = due_times.next() {
            if lowest.is_none_or(|(least, _)| *seq < least) {
                lowest = Some((*seq, *open));
            }
            let is_last_of_its_time = due_times.peek().is_none_or(|(next, ..)| next != due);
            if is_last_of_its_time
                && lowest.is_some_and(|(_, open)| live.allows(&self.inbox.open, &open))
            {
                return Some(*due);
            }
        }
        None
    }
}

impl MailboxMachine {
    /// Pushes what may be pushed, the lowest (`seq`, agent) first, as far as the event's budget goes.
    pub(super) fn push_due(&mut self, turn: &mut Turn) {
        let now = turn.now();
        let next = |(name, agent): (&AgentId, &Agent)| {
            agent.next_due(now).map(|(seq, open)| (seq, name.clone(), open))
        };
        // Agents whose window is closed, or who have all they are owed, drop out.
        let mut waiting: BTreeMap<(Ordinal, AgentId), Open> = self
            .agents
            .iter()
            .filter_map(next)
            .map(|(seq, name, open)| ((seq, name), open))
            .collect();
        while let Some(((seq, name), open)) = waiting.pop_first() {
            if !turn.budget.take(open.bytes) {
                return;
            }
            self.push_one(turn, &name, seq, open);
            if let Some((seq, open)) = self.agents.get(&name).and_then(|agent| agent.next_due(now))
            {
                waiting.insert((seq, name), open);
            }
        }
        // Something that came due since the floor stands in the way of what is younger. Without the clock
        // on record the alarm would ring at once, again and again, for what the way is not free for.
        turn.wrote |= self.next_push().is_some_and(|at| at <= now);
    }

    fn push_one(&mut self, turn: &mut Turn, name: &AgentId, seq: Ordinal, open: Open) {
        let Some(logged) = self.log.entries.get(&seq) else { return };
        let (at, message) = (logged.at, (*logged.message).clone());
        if at < turn.now() {
            self.catch_up(turn, name);
        }
        let Some(live) = self.agents.get_mut(name).and_then(|agent| agent.live.as_mut()) else {
            return;
        };
        if live.working == Some(seq) {
            live.working = None;
        }
        live.flights.insert(seq, Flight { again: open.due.is_some(), counted: false });
        let (epoch, attempt) = (live.epoch, open.attempts.saturating_add(1));
        let Open { redriven, .. } = open;
        turn.push(name, epoch, Notice::Message { seq, attempt, redriven, message });
    }

    /// A session that negotiated nothing is pushed something that was accepted earlier: from here on its
    /// silence counts, after what it has meant so far is on record
    /// ([refuted](crate::rules::refuted#silence-counted-from-the-accept)).
    fn catch_up(&mut self, turn: &mut Turn, name: &AgentId) {
        let live = self.agents.get(name).and_then(|agent| agent.live.as_ref());
        if live.is_some_and(|live| live.window.is_none() && live.since < turn.now()) {
            self.presume(turn, name);
            let live = self.agents.get_mut(name).and_then(|agent| agent.live.as_mut());
            if let Some(live) = live {
                live.since = turn.now();
            }
        }
    }

    /// Tells the sessions of those who lost something in this event.
    pub(super) fn tell_losses(&mut self, turn: &mut Turn) {
        for name in core::mem::take(&mut turn.lost) {
            let Some(agent) = self.agents.get(&name) else { continue };
            let gap = agent.registration.as_ref().and_then(|known| known.losses.gap());
            if let (Some(live), Some(gap)) = (&agent.live, gap) {
                turn.push(&name, live.epoch, Notice::Gap(gap));
            }
        }
    }

    /// Time at which somebody can be pushed something although nothing else happens.
    pub(super) fn next_push(&self) -> Option<Timestamp> {
        let floor = self.clock.floor;
        self.agents.values().filter_map(|agent| agent.next_push(floor)).min()
    }
}
