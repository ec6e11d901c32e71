//! Histories of the lease object.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Acquire, Blocker, Command, HeldBy, LeaseStep, Outcome, OverReason, Push, Rejection,
    ReleaseTarget, TicketEntry,
};
use mailbus_spec::machine::Event;
use mailbus_spec::{
    Commit, Holder, HostTime, LeasePath, Ordinal, PathSet, Reply, RequestId, SessionId, Ttl, Wait,
};

use super::{START_MS, agent, host, ordinal, time};
use crate::clock::TrueTime;
use crate::judge::history::{BeliefSpan, Claim, Write};
use crate::judge::observer::lease::LeaseObserver;

pub type Example = super::Example<LeaseObserver>;

fn holder(name: &str) -> Holder {
    Holder { agent: agent(name), session: SessionId::new("1").unwrap() }
}

fn path(name: &str) -> LeasePath {
    LeasePath::new(name).unwrap()
}

fn paths(name: &str) -> PathSet {
    PathSet::one(path(name))
}

fn request(name: &str) -> RequestId {
    RequestId::new(name).unwrap()
}

impl Example {
    /// A token that the host's clock of an example does not reach.
    pub fn ahead_of_host() -> u64 {
        (START_MS + 1_000_000) << Ordinal::SHIFT
    }

    pub fn acquire(at_ms: u64, who: &str, name: &str, on: &str) -> (HostTime, Event<Command>) {
        let ttl = Ttl::from_ms(1_000).unwrap();
        let wait = Wait::from_ms(600_000);
        let acquire = Acquire::new(holder(who), Some(request(name)), paths(on), ttl, wait).unwrap();
        Self::event(at_ms, Command::Acquire(acquire))
    }

    fn asked(
        self,
        at_ms: u64,
        who: &str,
        name: &str,
        on: &str,
        answer: Result<Outcome, Rejection>,
    ) -> Self {
        let (_, event) = Self::acquire(at_ms, who, name, on);
        let Event::Command(command) = event else { unreachable!() };
        self.answered(at_ms, command, answer, Vec::new())
    }

    pub fn granted(
        self,
        at_ms: u64,
        who: &str,
        name: &str,
        on: &str,
        number: u64,
        ttl_ms: u64,
    ) -> Self {
        let (expires_at, ttl) = (time(at_ms + ttl_ms), Ttl::from_ms(ttl_ms).unwrap());
        let outcome = Outcome::Granted { token: ordinal(number), expires_at, ttl };
        self.asked(at_ms, who, name, on, Ok(outcome))
    }

    pub fn queued(self, at_ms: u64, who: &str, name: &str, on: &str, position: u64) -> Self {
        self.asked(at_ms, who, name, on, Ok(Outcome::Queued { position }))
    }

    pub fn timed_out(self, at_ms: u64, who: &str, name: &str, on: &str) -> Self {
        let over = Outcome::Over { reason: OverReason::TimedOut, token: None };
        self.asked(at_ms, who, name, on, Ok(over))
    }

    pub fn held(self, at_ms: u64, who: &str, name: &str, on: &str) -> Self {
        let blocker = Blocker {
            by: HeldBy::Lease,
            holder: holder("somebody"),
            paths: paths(on),
            until: time(at_ms + 1),
            queue: 0,
            arrival: None,
        };
        self.asked(at_ms, who, name, on, Err(Rejection::Held(blocker)))
    }

    /// One event in which the first of these is granted and gives back, each by its token; that lets the
    /// next one through.
    pub fn given_back_at_once(self, at_ms: u64, granted: &[(&str, &str, u64)]) -> Self {
        let ttl = Ttl::from_ms(500).unwrap();
        let push = |(who, name, number): &(&str, &str, u64)| {
            let (token, expires_at) = (ordinal(*number), time(at_ms + ttl.ms()));
            let notice = Notice::Granted { request: request(name), token, expires_at, ttl };
            Push { to: holder(who), notice }
        };
        let (first, _, number) = granted[0];
        let target = ReleaseTarget::Token(ordinal(number));
        let command = Command::Release { holder: holder(first), target };
        self.answered(at_ms, command, Ok(Outcome::Released), granted.iter().map(push).collect())
    }

    /// A recovery that carries the clock this far, and what time had let through before.
    pub fn recovered(self, at_ms: u64, to_ms: u64, granted: (&str, &str, u64)) -> Self {
        let (who, name, number) = granted;
        let ttl = Ttl::from_ms(500).unwrap();
        let (token, expires_at) = (ordinal(number), time(at_ms + ttl.ms()));
        let notice = Notice::Granted { request: request(name), token, expires_at, ttl };
        let lapsed = Push { to: holder(who), notice: Notice::Lapsed { token } };
        let pushes = vec![Push { to: holder(who), notice }, lapsed];
        let at_least = Ordinal::new((START_MS + to_ms) << Ordinal::SHIFT).unwrap();
        let commit = Commit { sequence: self.sequence + 1, now: time(to_ms), generation: 2 };
        let reply = Some(Reply { answer: Ok(Outcome::Recovered), commit });
        let event = Event::Command(Command::Recover { at_least });
        let step = LeaseStep { reply, pushes, wrote: true };
        self.entry(at_ms, host(at_ms), event, step)
    }

    pub fn granted_from_queue(
        self,
        at_ms: u64,
        who: &str,
        name: &str,
        number: u64,
        ttl_ms: u64,
    ) -> Self {
        let notice = Notice::Granted {
            request: request(name),
            token: ordinal(number),
            expires_at: time(at_ms + ttl_ms),
            ttl: Ttl::from_ms(ttl_ms).unwrap(),
        };
        let step =
            LeaseStep { reply: None, pushes: vec![Push { to: holder(who), notice }], wrote: true };
        self.entry(at_ms, host(at_ms), Event::Alarm, step)
    }

    pub fn renewed(self, at_ms: u64, who: &str, number: u64, ttl_ms: u64) -> Self {
        let ttl = Ttl::from_ms(ttl_ms).unwrap();
        let command =
            Command::Renew { holder: holder(who), token: ordinal(number), ttl, drain: true };
        let expires_at = time(at_ms + ttl_ms);
        let outcome = Outcome::Renewed { expires_at, waiting: 0, draining: false };
        self.answered(at_ms, command, Ok(outcome), Vec::new())
    }

    pub fn released(self, at_ms: u64, who: &str, number: u64) -> Self {
        let target = ReleaseTarget::Token(ordinal(number));
        let command = Command::Release { holder: holder(who), target };
        self.answered(at_ms, command, Ok(Outcome::Released), Vec::new())
    }

    pub fn forced(self, at_ms: u64, number: u64) -> Self {
        let (token, reason) = (ordinal(number), String::new());
        let command = Command::ForceRelease { token, reason, drain: false };
        self.answered(at_ms, command, Ok(Outcome::Released), Vec::new())
    }

    /// A page of tickets with this one alone.
    pub fn listed(self, at_ms: u64, who: &str, name: &str, on: &str, arrival: u64) -> Self {
        let ticket = TicketEntry {
            arrival,
            holder: holder(who),
            request: request(name),
            paths: paths(on),
            deadline: time(at_ms + 1),
        };
        let command = Command::Tickets { prefix: String::new(), after: 0, limit: 1 };
        let outcome = Outcome::Tickets { tickets: vec![ticket], more: false };
        self.answered(at_ms, command, Ok(outcome), Vec::new())
    }

    pub fn forced_ticket(self, at_ms: u64, arrival: u64, generation: u64) -> Self {
        let command = Command::ForceTicket { arrival, generation };
        self.answered(at_ms, command, Ok(Outcome::Released), Vec::new())
    }

    pub fn free(self, at_ms: u64, on: &str) -> Self {
        let command = Command::Status { path: path(on) };
        self.answered(at_ms, command, Ok(Outcome::Free { queue: 0, reserved: None }), Vec::new())
    }

    pub fn believed(
        mut self,
        from_ms: u64,
        until_ms: u64,
        who: &str,
        on: &str,
        number: u64,
    ) -> Self {
        self.history.beliefs.push(BeliefSpan {
            holder: holder(who),
            token: ordinal(number),
            paths: paths(on),
            from: TrueTime::from_ms(from_ms),
            until: TrueTime::from_ms(until_ms),
        });
        self
    }

    pub fn wrote(mut self, at_ms: u64, who: &str, on: &str, number: u64, accepted: bool) -> Self {
        self.history.writes.push(Write {
            at: TrueTime::from_ms(at_ms),
            holder: holder(who),
            path: path(on),
            token: ordinal(number),
            accepted,
        });
        self
    }

    pub fn claimed(
        mut self,
        asked_ms: u64,
        learned_ms: Option<u64>,
        who: &str,
        on: &str,
        longest_term_ms: u64,
    ) -> Self {
        self.history.claims.push(Claim {
            holder: holder(who),
            paths: paths(on),
            asked: TrueTime::from_ms(asked_ms),
            learned: learned_ms.map(TrueTime::from_ms),
            gave_up: None,
            longest_term_ms,
        });
        self
    }

    pub fn ended(mut self, at_ms: u64) -> Self {
        self.history.ended = TrueTime::from_ms(at_ms);
        self
    }
}
