//! One agent in memory: its row, its inbox, its session, and what follows from them.

use mailbus_spec::mailbox::{Fence, Gap, Share, Window};
use mailbus_spec::{AgentId, Ordinal, Timestamp};

use super::dead_letters::DeadLetters;
use super::inbox::{Inbox, Open};
use super::log::{Entry, Log};
use super::session::{Flight, LiveSession, Tally};
use super::subscriptions::Subscriptions;
use crate::mailbox::Session;

/// One name: of an agent, or of whoever mail is kept for.
#[derive(Debug, Default)]
pub(super) struct Agent {
    /// Record that is kept of it by name; `None` for a name that only others have used.
    pub registration: Option<Registration>,
    /// True if it has a row.
    pub has_row: bool,
    /// Last message up to which what its inbox refused is forgotten.
    pub forgotten: Ordinal,
    /// Pending messages.
    pub inbox: Inbox,
    /// Messages that were given up.
    pub dead_letters: DeadLetters,
    /// The session that is pushed to.
    pub live: Option<LiveSession>,
    /// The epochs of its superseded sessions, the oldest first.
    pub superseded: Vec<Ordinal>,
    /// Result of [`Agent::next_push`], until something changes.
    pub(super) next_push: Option<Option<Timestamp>>,
}

/// Equality of all but what was found before something changes.
impl PartialEq for Agent {
    fn eq(&self, other: &Self) -> bool {
        self.registration == other.registration
            && (self.has_row, self.forgotten) == (other.has_row, other.forgotten)
            && self.inbox == other.inbox
            && self.dead_letters == other.dead_letters
            && self.live == other.live
            && self.superseded == other.superseded
    }
}

/// Record that is kept of an agent by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registration {
    pub epoch: Ordinal,
    pub subscriptions: Subscriptions,
    pub losses: Losses,
    /// The object time of the last event that wrote the row.
    pub written_at: Timestamp,
}

/// The losses of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Number of those that are not acknowledged.
    pub count: u64,
    /// Bounds of their `seq`, since `count` was last 0.
    pub first: Ordinal,
    pub last: Ordinal,
    /// Number of all that there ever were.
    pub through: u64,
}

/// Delivery in flight, as a nack of it meets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Fence that its push said.
    pub fence: Fence,
    /// True if it is on record.
    pub counted: bool,
    /// Number of deliveries of its message that failed before.
    pub failures: u64,
}

impl Losses {
    pub fn gap(self) -> Option<Gap> {
        let Self { count, first, last, through } = self;
        (count > 0).then_some(Gap { count, first, last, through })
    }

    pub fn add(&mut self, seq: Ordinal) {
        let is_first = self.count == 0;
        self.first = if is_first { seq } else { self.first.min(seq) };
        self.last = if is_first { seq } else { self.last.max(seq) };
        self.count = self.count.saturating_add(1);
        self.through = self.through.saturating_add(1);
    }
}

impl Agent {
    /// True if nothing is left to be known of a name, as the protocol sees it.
    pub fn is_nobody(&self) -> bool {
        self.registration.is_none() && self.inbox.is_empty()
    }

    pub fn gap(&self) -> Option<Gap> {
        self.registration.as_ref().and_then(|registration| registration.losses.gap())
    }

    /// Forgets the cached next push: the agent has changed.
    pub fn stir(&mut self) {
        self.next_push = None;
    }

    /// Messages that fill the inbox, and their bytes: what is pending and what failed.
    pub fn filled(&self) -> (u64, u64) {
        let (messages, bytes) = self.dead_letters.failed();
        (self.inbox.len().saturating_add(messages), self.inbox.bytes().saturating_add(bytes))
    }

    /// True if one more message fits, counting what only silence settles as settled: it is, as soon as
    /// something is recorded.
    pub fn has_room_for(&self, bytes: u64, share: Share) -> bool {
        let presumable = self.live.as_ref().map_or_else(Tally::default, |live| live.presumable);
        let (messages, sum) = self.filled();
        let messages = messages.saturating_sub(presumable.messages);
        let sum = sum.saturating_sub(presumable.bytes);
        share.holds(messages.saturating_add(1), sum.saturating_add(bytes))
    }

    /// A message is pending.
    pub fn receive(&mut self, log: &mut Log, entry: &Entry) {
        self.inbox.append(entry.seq, u64::from(entry.bytes));
        log.hold(entry.seq);
        self.stir();
    }

    /// The delivery of a message, if it is in flight.
    pub fn flight(&self, seq: Ordinal) -> Option<Flight> {
        let open = self.inbox.get(seq)?;
        self.flight_of(seq, &open)
    }

    fn flight_of(&self, seq: Ordinal, open: &Open) -> Option<Flight> {
        let live = self.live.as_ref()?;
        if open.due.is_some() {
            return open.again.map(|counted| Flight { again: true, counted });
        }
        let counted = seq <= live.counted_through;
        (seq <= live.sent_through).then_some(Flight { again: false, counted })
    }

    /// A delivery in flight, as a nack of it meets it.
    pub fn delivery(&self, seq: Ordinal) -> Option<Delivery> {
        let (live, open) = (self.live.as_ref()?, self.inbox.get(seq)?);
        let Flight { counted, .. } = self.flight_of(seq, &open)?;
        let attempt = open.attempts.saturating_add(u64::from(!counted));
        let fence = Fence { epoch: live.epoch, attempt };
        Some(Delivery { fence, counted, failures: open.failures })
    }

    /// True if a pending message was ever pushed: a delivery of it is on record or in flight.
    pub fn was_pushed(&self, seq: Ordinal) -> bool {
        let open = self.inbox.get(seq);
        open.is_some_and(|open| open.attempts > 0 || self.flight_of(seq, &open).is_some())
    }

    /// The ordinal of what there is of the name: its epoch, or the last that was sent to a name that
    /// never connected.
    pub fn latest(&self) -> Ordinal {
        let epoch = self.registration.as_ref().map(|known| known.epoch);
        epoch.or_else(|| self.inbox.last()).unwrap_or(Ordinal::ZERO)
    }

    /// Flights from this message on.
    pub fn flights_from(&self, seq: Ordinal) -> impl Iterator<Item = (Ordinal, Flight)> {
        let pending = self.inbox.from(seq);
        pending.filter_map(|(seq, open)| Some((seq, self.flight_of(seq, &open)?)))
    }

    /// Takes a delivery out of flight; the message stays pending. The caller has it leave the place
    /// that says that it flies.
    fn land(&mut self, log: &Log, seq: Ordinal, flight: Flight) {
        if let (Some(entry), Some(live)) = (log.get(seq), &mut self.live) {
            live.land(entry, flight.again);
        }
    }

    fn find_first_presumable(&mut self, log: &Log, landed: Ordinal) {
        let Some(live) = &self.live else { return };
        if live.first_presumable != Some(landed) {
            return;
        }
        let silent = |seq: Ordinal| log.get(seq).is_some_and(|entry| !entry.ack_required);
        let found = if live.presumable.messages == 0 {
            None
        } else {
            self.flights_from(landed).map(|(seq, _)| seq).find(|seq| silent(*seq))
        };
        if let Some(live) = &mut self.live {
            live.first_presumable = found;
        }
    }

    /// Takes a message out of the inbox and out of flight.
    pub fn take(&mut self, log: &mut Log, seq: Ordinal) -> Option<Open> {
        let bytes = u64::from(log.get(seq)?.bytes);
        let flight = self.flight(seq);
        if self.registration.is_none() && self.inbox.first() == Some(seq) {
            self.inbox.drop_first(bytes);
            log.release(seq);
            return Some(Open::default());
        }
        let open = self.inbox.remove(seq, bytes)?;
        if let Some(flight) = flight {
            self.land(log, seq, flight);
            self.find_first_presumable(log, seq);
        }
        log.release(seq);
        self.stir();
        Some(open)
    }

    /// Takes a delivery back: the message is due again.
    pub fn give_back(&mut self, log: &Log, seq: Ordinal, due: Timestamp) {
        if let Some(flight) = self.flight(seq) {
            self.land(log, seq, flight);
        }
        self.inbox.give_back(seq, due);
        self.find_first_presumable(log, seq);
        self.stir();
    }

    /// Puts on record what the session was pushed.
    pub fn count_flights(&mut self) {
        let Some(live) = &mut self.live else { return };
        self.inbox.count(live.counted_through, live.sent_through);
        self.inbox.count_again();
        live.counted_through = live.sent_through;
    }

    /// Notes a push; says which attempt it is and whether the message was redriven.
    pub fn push(&mut self, log: &Log, seq: Ordinal) -> Option<(u64, bool)> {
        let (entry, open) = (log.get(seq)?, self.inbox.get(seq)?);
        let live = self.live.as_mut()?;
        if live.working == Some(seq) {
            live.working = None;
        }
        let again = open.due.is_some();
        live.take_off(entry, again);
        if again {
            self.inbox.fly_again(seq, false);
        } else {
            live.sent_through = live.sent_through.max(seq);
        }
        self.stir();
        Some((open.attempts.saturating_add(1), open.redriven))
    }

    /// The message to push next at `now`: the lowest that is pending, not in flight and due, unless the
    /// window forbids it. What is younger waits with it.
    pub fn next_due(&self, log: &Log, now: Timestamp) -> Option<Ordinal> {
        if self.next_push.is_some_and(|known| known.is_none_or(|at| at > now)) {
            return None;
        }
        let may_be_fresh = |_: &Ordinal| self.fresh_from().is_none_or(|at| at <= now);
        let first = self.first_fresh().filter(may_be_fresh);
        let again = self.inbox.first_due(now);
        let seq = first.into_iter().chain(again).min()?;
        self.allows(log, seq, again == Some(seq)).then_some(seq)
    }

    /// Time from which the session is pushed what has no time of its own: later than at once while as many
    /// messages are delayed as may be.
    fn fresh_from(&self) -> Option<Timestamp> {
        let window = self.live.as_ref()?.window.unwrap_or(Window::DEFAULT);
        self.inbox.fewer_wait_at(window.delayed())
    }

    fn first_fresh(&self) -> Option<Ordinal> {
        self.inbox.first_without_due(self.live.as_ref()?.sent_through)
    }

    fn allows(&self, log: &Log, seq: Ordinal, is_again: bool) -> bool {
        let Some(entry) = log.get(seq) else { return false };
        self.live.as_ref().is_some_and(|live| live.allows(u64::from(entry.bytes), is_again))
    }

    /// Time at which something can be pushed although nothing else happens, not before `floor`: at once,
    /// for what is left over.
    pub fn next_push(&mut self, log: &Log, floor: Timestamp) -> Option<Timestamp> {
        let holds = |known: &Option<Timestamp>| known.is_none_or(|at| at > floor);
        if let Some(known) = self.next_push.filter(holds) {
            return known;
        }
        let found = self.find_next_push(log, floor);
        self.next_push = Some(found);
        found
    }

    fn find_next_push(&self, log: &Log, floor: Timestamp) -> Option<Timestamp> {
        self.live.as_ref().filter(|live| !live.is_full())?;
        let fresh_from = self.fresh_from();
        let mut fresh = self.first_fresh().map(|seq| (seq, false));
        let first = fresh.take_if(|_| fresh_from.is_none_or(|at| at <= floor));
        let again = self.inbox.first_due(floor).map(|seq| (seq, true));
        let mut lowest = first.into_iter().chain(again).min();
        if lowest.is_some_and(|(seq, is_again)| self.allows(log, seq, is_again)) {
            return Some(floor);
        }
        // What is due at one time counts together; only the lowest of all by then could be pushed.
        let mut waiting = self.inbox.waiting_after(floor).peekable();
        let mut is_lower = false;
        while let Some((due, seq)) = waiting.next() {
            let freed = fresh.take_if(|_| fresh_from <= Some(due));
            for candidate in freed.into_iter().chain([(seq, true)]) {
                if lowest.is_none_or(|least| candidate < least) {
                    (lowest, is_lower) = (Some(candidate), true);
                }
            }
            let is_last_of_its_time = waiting.peek().is_none_or(|(next, _)| *next != due);
            if is_last_of_its_time
                && std::mem::take(&mut is_lower)
                && lowest.is_some_and(|(seq, is_again)| self.allows(log, seq, is_again))
            {
                return Some(due);
            }
        }
        None
    }

    /// Session that its socket keeps.
    pub fn session(&self, name: &AgentId) -> Option<Session> {
        let live = self.live.as_ref()?;
        let again = if live.again == 0 { Vec::new() } else { self.inbox.again().collect() };
        Some(Session {
            agent: name.clone(),
            session: live.session.clone(),
            epoch: live.epoch,
            window: live.window.map(|window| (window.messages(), window.bytes())),
            since: live.since,
            sent_through: live.sent_through,
            counted_through: live.counted_through,
            again,
            working: live.working,
        })
    }

    /// Takes up a session again from what its socket keeps.
    pub fn resume(&mut self, log: &Log, kept: &Session, last_seq: Ordinal) {
        let mut live =
            LiveSession::new(kept.session.clone(), kept.epoch, kept.window(), kept.since);
        live.sent_through = kept.sent_through.min(last_seq);
        live.counted_through = kept.counted_through.min(last_seq);
        for (seq, counted) in &kept.again {
            self.inbox.fly_again(*seq, *counted);
        }
        self.live = Some(live);
        let flights: Vec<(Ordinal, Flight)> = self.flights_from(Ordinal::ZERO).collect();
        if let Some(live) = &mut self.live {
            for (seq, flight) in flights {
                if let Some(entry) = log.get(seq) {
                    live.take_off(entry, flight.again);
                }
            }
        }
        let working = kept.working.filter(|seq| self.flight(*seq).is_some());
        if let Some(live) = &mut self.live {
            live.working = working;
        }
        self.stir();
    }

    /// The session is over.
    pub fn end_session(&mut self) -> Option<LiveSession> {
        self.inbox.land_all();
        self.stir();
        self.live.take()
    }
}
