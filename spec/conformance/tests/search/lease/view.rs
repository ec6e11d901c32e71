//! The view of a state: what of it can still make a difference. The search takes states of equal
//! view for one.
//!
//! Times become distances from the present, tokens and arrivals their ranks, and what is over for
//! good disappears; sequence and generation are only ever said, never asked. So a world whose time
//! is unbounded is finite all the same, and its search ends in a fixpoint. `main.rs` holds the view
//! to what it promises: states of one view have successors of the same views.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use mailbus_spec::belief::Reading;
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::lease::state::{ClaimKey, ClaimName, Remembered};
use mailbus_spec::limits;
use mailbus_spec::{Ordinal, Timestamp};

use crate::lease::state::{Attempt, Body, Client, Packet, State};

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let view = View::of(self);
        view.object(&self.object, hasher);
        for (index, client) in self.clients.iter().enumerate() {
            view.client(client, self.reading(index as u8), hasher);
        }
        for packet in &self.network {
            view.packet(packet, self.reading(packet.client), hasher);
        }
        self.network.len().hash(hasher);
        self.budget.hash(hasher);
        view.history(hasher);
        if let Some(snapshot) = &self.backup.snapshot {
            view.object(snapshot, hasher);
        }
        self.backup.snapshot.is_some().hash(hasher);
        let closed = self.backup.closed_until_ms;
        closed.map(|until| until.saturating_sub(self.elapsed_ms)).hash(hasher);
        self.violation.as_ref().map(|violation| violation.invariant).hash(hasher);
    }
}

struct View<'a> {
    state: &'a State,
    /// Time by which the host's clock may still go back, in ms.
    back_ms: u64,
    now: Timestamp,
    tokens: Vec<Ordinal>,
}

impl<'a> View<'a> {
    fn of(state: &'a State) -> Self {
        let back_ms = u64::from(state.budget.back_steps) * state.scale.back_step_ms;
        let now = state.object_now();
        let mut view = Self { state, back_ms, now, tokens: Vec::new() };
        if state.scale.exact_tokens {
            return view;
        }
        let mut tokens: Vec<Ordinal> = state.object.leases.keys().copied().collect();
        tokens.extend(view.kept(&state.object).filter_map(|(_, over)| over.token));
        let attempts = state.clients.iter().flat_map(|client| &client.attempts);
        tokens.extend(attempts.filter_map(|attempt| attempt.guard.map(|guard| guard.token)));
        tokens.extend(state.network.iter().filter_map(|packet| packet.body.token()));
        tokens.push(state.history.resource);
        tokens.extend(state.history.granted.iter().map(|once| once.token));
        tokens.extend(state.history.forced.iter().map(|(token, _)| *token));
        tokens.extend(state.history.draining.iter().map(|(token, _)| *token));
        tokens.sort_unstable();
        tokens.dedup();
        view.tokens = tokens;
        view
    }

    fn token(&self, token: Ordinal) -> i64 {
        if self.state.scale.exact_tokens {
            token.get() as i64 - (self.state.host().0 << Ordinal::SHIFT) as i64
        } else {
            self.tokens.partition_point(|other| *other < token) as i64
        }
    }

    /// Distance of an instant ahead, in ms. So long ago that even the memory of it is over for good
    /// is all the same: a lease that lapsed unseen may lie there for ever.
    fn ahead(&self, at: Timestamp) -> i64 {
        let long_ago = limits::MEMORY_MS + 120_000 + self.back_ms;
        (at.ms() as i64 - self.now.ms() as i64).max(-(long_ago as i64))
    }

    /// Memory that can no longer be un-ended is as good as gone.
    fn kept<'m>(
        &self,
        object: &'m LeaseMachine,
    ) -> impl Iterator<Item = (&'m ClaimKey, &'m Remembered)> + use<'m> {
        let (exact, now) = (self.back_ms > 0 || self.state.scale.exact_tokens, self.now);
        object.remembered.iter().filter(move |(_, over)| exact || over.memory_ends() > now)
    }

    fn object<H: Hasher>(&self, object: &LeaseMachine, hasher: &mut H) {
        let host_ms = self.state.host().0 as i64;
        let behind = host_ms + object.clock.offset - object.clock.floor.ms() as i64;
        // With the host that far ahead of the floor, the floor can never bite.
        behind.min(self.back_ms as i64).hash(hasher);
        if self.back_ms > 0 || self.state.scale.exact_tokens {
            (self.now.ms() % 60_000, object.generation == 0).hash(hasher);
        }
        if self.state.scale.exact_tokens {
            (self.token(object.last_token), object.clock.offset).hash(hasher);
            self.state.elapsed_ms.hash(hasher);
        }
        for (token, lease) in &object.leases {
            self.token(*token).hash(hasher);
            self.key(&lease.key, hasher);
            (&lease.content, lease.first_term, lease.draining).hash(hasher);
            self.ahead(lease.expires_at).hash(hasher);
        }
        object.leases.len().hash(hasher);
        for ticket in object.queue.values() {
            (&ticket.holder, &ticket.request, &ticket.content).hash(hasher);
            self.ahead(ticket.deadline).hash(hasher);
        }
        object.queue.len().hash(hasher);
        for (key, over) in self.kept(object) {
            self.key(key, hasher);
            (&over.content, over.reason).hash(hasher);
            over.token.map(|token| self.token(token)).hash(hasher);
            self.ahead(over.end).hash(hasher);
            (object.clock.floor < over.memory_ends()).hash(hasher);
        }
    }

    fn key<H: Hasher>(&self, key: &ClaimKey, hasher: &mut H) {
        key.holder.hash(hasher);
        match &key.name {
            ClaimName::Request(request) => request.hash(hasher),
            ClaimName::Token(token) => self.token(*token).hash(hasher),
        }
    }

    fn client<H: Hasher>(&self, client: &Client, now: Reading, hasher: &mut H) {
        (client.suspended, client.repeats, client.renewals).hash(hasher);
        client.attempts.len().hash(hasher);
        for attempt in &client.attempts {
            self.attempt(attempt, now, hasher);
        }
    }

    fn attempt<H: Hasher>(&self, attempt: &Attempt, now: Reading, hasher: &mut H) {
        attempt.ended.hash(hasher);
        self.since(attempt.first_sent, now).hash(hasher);
        self.since(attempt.latest_sent, now).hash(hasher);
        if let Some(guard) = &attempt.guard {
            (self.token(guard.token), guard.lost).hash(hasher);
            if let Some(belief) = &guard.belief {
                (self.since(belief.sent, now), belief.lasts).hash(hasher);
            }
            guard.belief.is_some().hash(hasher);
        }
        attempt.guard.is_some().hash(hasher);
    }

    /// Time that has passed by both clocks, until it is so long that nothing can be believed of it.
    fn since(&self, then: Reading, now: Reading) -> Option<(i64, i64)> {
        let by = |now: Duration, then: Duration| now.as_millis() as i64 - then.as_millis() as i64;
        let (monotonic, wall) = (by(now.monotonic, then.monotonic), by(now.wall, then.wall));
        let scale = &self.state.scale;
        (monotonic < scale.longest_ms as i64)
            .then(|| (monotonic, wall.min((scale.longest_ms + scale.wall_back_ms) as i64)))
    }

    fn packet<H: Hasher>(&self, packet: &Packet, now: Reading, hasher: &mut H) {
        (packet.client, packet.claim, packet.age).hash(hasher);
        self.since(crate::lease::state::reading(packet.sent), now).hash(hasher);
        std::mem::discriminant(&packet.body).hash(hasher);
        packet.body.token().map(|token| self.token(token)).hash(hasher);
        if let Body::Granted(_, term) = packet.body {
            term.hash(hasher);
        }
    }

    fn history<H: Hasher>(&self, hasher: &mut H) {
        let history = &self.state.history;
        self.token(history.resource).hash(hasher);
        if self.state.scale.exact_tokens {
            self.token(history.largest).hash(hasher);
            history.void_up_to.map(|token| self.token(token)).hash(hasher);
        }
        for once in &history.granted {
            (once.client, once.claim, self.token(once.token)).hash(hasher);
            once.over.map(|over| self.ahead(over)).hash(hasher);
        }
        history.granted.len().hash(hasher);
        history.cancelled.hash(hasher);
        for (token, until) in history.forced.iter().chain(&history.draining) {
            (self.token(*token), self.ahead(*until)).hash(hasher);
        }
        history.forced.len().hash(hasher);
    }
}

impl Body {
    pub fn token(self) -> Option<Ordinal> {
        match self {
            Self::Acquire | Self::Cancel => None,
            Self::Renew(token) | Self::Release(token) | Self::Granted(token, _) => Some(token),
            Self::Renewed(token) | Self::Draining(token) | Self::Lost(token) => Some(token),
        }
    }
}
