//! A small pure client over `spec::belief`: what it sends, and what it concludes from replies. Each
//! rule of the contract is a switch in [`Rules`](crate::lease::scenario::Rules).

use std::time::Duration;

use mailbus_spec::belief::{Belief, ClockBound, Reading, compare_readings};
use mailbus_spec::{Ttl, limits};

use crate::harness::UNLIMITED;
use crate::lease::marks::Mark;
use crate::lease::scenario::{Clocks, CountedFrom, Scenario};
use crate::lease::state::{Attempt, Body, Client, Guard, Packet, State, in_ms, reading};

/// Takes one from a count that may be without end.
pub fn spend(count: &mut u8) {
    if *count != UNLIMITED {
        *count -= 1;
    }
}

impl Attempt {
    fn ended() -> Self {
        Self {
            first_sent: Reading::default(),
            latest_sent: Reading::default(),
            guard: None,
            ended: true,
        }
    }

    fn is_over(&self) -> bool {
        self.ended || self.guard.is_some_and(|guard| guard.lost)
    }
}

impl Client {
    /// True if it may begin its next claim.
    pub fn may_begin(&self, scenario: &Scenario, index: u8) -> bool {
        let peer = &scenario.peers[usize::from(index)];
        self.attempts.len() < peer.claims.len()
            && (peer.concurrent || self.attempts.iter().all(Attempt::is_over))
    }
}

/// True if a copy of the `Acquire` may be sent: without end for a ticket, and for as long as the
/// contract allows otherwise.
pub fn may_repeat(scenario: &Scenario, state: &State, client: u8, claim: u8) -> bool {
    let known = &state.clients[usize::from(client)];
    let attempt = &known.attempts[usize::from(claim)];
    let wanted = scenario.claim(client, claim);
    let elapsed = state.reading(client).monotonic.saturating_sub(attempt.first_sent.monotonic);
    let in_time = elapsed <= Duration::from_millis(limits::RETRY_MS);
    known.repeats > 0
        && !attempt.is_over()
        && (wanted.wait.is_some()
            || wanted.request.is_none()
            || in_time
            || !scenario.rules.stops_retrying)
}

/// Sends an `Acquire`, the first of its claim or a copy.
pub fn acquire(scenario: &Scenario, state: &mut State, client: u8, claim: u8) {
    let now = state.reading(client);
    let known = &mut state.clients[usize::from(client)];
    if usize::from(claim) == known.attempts.len() {
        let latest_sent = Reading::default();
        known.attempts.push(Attempt { first_sent: now, latest_sent, guard: None, ended: false });
    } else {
        spend(&mut known.repeats);
    }
    send(scenario, state, client, claim, Body::Acquire);
}

/// Sends a renewal of what it thinks it holds, believed or not.
pub fn renew(scenario: &Scenario, state: &mut State, client: u8, claim: u8) {
    let known = &mut state.clients[usize::from(client)];
    spend(&mut known.renewals);
    if let Some(guard) = known.attempts[usize::from(claim)].guard {
        send(scenario, state, client, claim, Body::Renew(guard.token));
    }
}

/// Sends `Release`, or `Cancel` where no token is known or wanted.
pub fn end(scenario: &Scenario, state: &mut State, client: u8, claim: u8, body: Body) {
    let attempts = &mut state.clients[usize::from(client)].attempts;
    let token = body.token();
    for (index, attempt) in attempts.iter_mut().enumerate() {
        // Acquiring again without request id gave the same lease to two attempts.
        let shares = token.is_some() && attempt.guard.map(|guard| guard.token) == token;
        if index == usize::from(claim) || shares {
            if scenario.rules.ends_before_release {
                *attempt = Attempt::ended();
            } else {
                attempt.ended = true;
            }
        }
    }
    state.send(Packet { client, claim, body, sent: (0, 0), age: 0 });
}

fn send(scenario: &Scenario, state: &mut State, client: u8, claim: u8, body: Body) {
    let now = state.reading(client);
    if scenario.rules.renewal_counts_from == CountedFrom::Latest {
        state.clients[usize::from(client)].attempts[usize::from(claim)].latest_sent = now;
    }
    state.send(Packet { client, claim, body, sent: in_ms(now), age: 0 });
}

/// A reply or a push arrives.
pub fn receive(scenario: &Scenario, state: &mut State, packet: &Packet) {
    let now = state.reading(packet.client);
    let known = &mut state.clients[usize::from(packet.client)];
    let attempt = &mut known.attempts[usize::from(packet.claim)];
    let ignores = attempt.ended && scenario.rules.ends_before_release;
    if ignores {
        scenario.mark(Mark::LateReplyIgnored);
        return;
    }
    match packet.body {
        Body::Granted(token, term) => granted(scenario, attempt, packet, token, term, now),
        // It is good to its old end, and whoever believes goes on to that.
        Body::Draining(_) if !scenario.rules.drain_is_credited => {}
        Body::Renewed(token) | Body::Draining(token) => {
            let sent = match scenario.rules.renewal_counts_from {
                CountedFrom::Latest => attempt.latest_sent,
                _ => reading(packet.sent),
            };
            let ttl = scenario.claim(packet.client, packet.claim).renewal;
            let Some(guard) = attempt.guard.as_mut().filter(|guard| guard.token == token) else {
                return;
            };
            if guard.lost && scenario.rules.lost_stays_lost {
                scenario.mark(Mark::LateReplyIgnored);
                return;
            }
            let begins = guard.belief.is_none();
            if conclude(scenario, guard, sent, ttl, now) {
                scenario.mark(if begins {
                    Mark::BeliefBegunByRenewal
                } else {
                    Mark::BeliefRenewed
                });
            }
        }
        Body::Lost(token) => {
            let guard = attempt.guard.as_mut().filter(|guard| guard.token == token);
            if let (Some(guard), true) = (guard, scenario.rules.refusal_ends) {
                (guard.belief, guard.lost) = (None, true);
            }
        }
        _ => unreachable!("not a reply"),
    }
}

fn granted(
    scenario: &Scenario,
    attempt: &mut Attempt,
    packet: &Packet,
    token: mailbus_spec::Ordinal,
    term: Ttl,
    now: Reading,
) {
    let has_request = scenario.claim(packet.client, packet.claim).request.is_some();
    let first = scenario.rules.grant_counts_from == CountedFrom::First && has_request;
    let sent = if first { attempt.first_sent } else { reading(packet.sent) };
    let guard = attempt.guard.get_or_insert(Guard { token, belief: None, lost: false });
    if guard.token != token {
        *guard = Guard { token, belief: None, lost: false };
    } else if guard.lost && scenario.rules.lost_stays_lost {
        scenario.mark(Mark::LateReplyIgnored);
        return;
    }
    if conclude(scenario, guard, sent, term, now) {
        scenario.mark(Mark::Believed);
    }
}

/// Believes in a term if that is longer than what is believed already. Whether it is believed now.
fn conclude(
    scenario: &Scenario,
    guard: &mut Guard,
    sent: Reading,
    term: Ttl,
    now: Reading,
) -> bool {
    let bound = if scenario.rules.allows_for_steps {
        scenario.bound
    } else {
        ClockBound { step_ms: 0, ..scenario.bound }
    };
    let mut belief = Belief::in_term(sent, term, &bound);
    if !scenario.rules.strictly_below {
        belief.lasts += Duration::from_millis(1);
    }
    let longer = guard.belief.is_none_or(|old| old.monotonic_end() < belief.monotonic_end());
    if longer && holds(scenario, &belief, now) {
        (guard.belief, guard.lost) = (Some(belief), false);
    }
    guard.belief.is_some()
}

fn holds(scenario: &Scenario, belief: &Belief, now: Reading) -> bool {
    let by = |now: Duration, then: Duration| now.saturating_sub(then) < belief.lasts;
    let in_term = match scenario.rules.clocks {
        Clocks::Both if scenario.rules.minds_anomalies => belief.holds(now),
        Clocks::Both => by(now.monotonic, belief.sent.monotonic) && by(now.wall, belief.sent.wall),
        Clocks::MonotonicOnly => by(now.monotonic, belief.sent.monotonic),
        Clocks::WallOnly => by(now.wall, belief.sent.wall),
    };
    let anomaly = in_term
        && scenario.rules.minds_anomalies
        && scenario.rules.clocks == Clocks::Both
        && compare_readings(belief.sent, now, &scenario.bound).is_err();
    if anomaly {
        scenario.mark(Mark::AnomalyEndedBelief);
    }
    in_term && !anomaly
}

/// Clients that are awake look at their clocks: what ran out is lost.
pub fn look_at_clocks(scenario: &Scenario, state: &mut State) {
    for index in 0..state.clients.len() {
        let now = state.reading(index as u8);
        let client = &mut state.clients[index];
        if client.suspended {
            continue;
        }
        for attempt in &mut client.attempts {
            let Some(guard) = &mut attempt.guard else { continue };
            if guard.belief.is_some_and(|belief| !holds(scenario, &belief, now)) {
                (guard.belief, guard.lost) = (None, true);
                scenario.mark(Mark::BeliefRanOut);
            }
        }
    }
}
