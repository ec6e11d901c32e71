//! A small pure client over `spec::belief`: what it sends, and what it concludes from replies. Each
//! rule of the contract is a switch in [`Rules`](crate::lease::setting::Rules).

use std::time::Duration;

use mailbus_spec::belief::{Belief, ClockBound, Reading, compare_readings};
use mailbus_spec::{Ttl, limits};

use crate::harness::UNLIMITED;
use crate::lease::marks::Mark;
use crate::lease::setting::{Clocks, CountedFrom, Setting};
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
    /// Whether it may begin its next wish.
    pub fn may_begin(&self, setting: &Setting, index: u8) -> bool {
        let part = &setting.parts[usize::from(index)];
        self.attempts.len() < part.wishes.len()
            && (part.concurrent || self.attempts.iter().all(Attempt::is_over))
    }
}

/// Whether a copy of the `Acquire` may be sent: without end for a ticket, and for as long as the
/// contract allows otherwise.
pub fn may_repeat(setting: &Setting, state: &State, client: u8, wish: u8) -> bool {
    let known = &state.clients[usize::from(client)];
    let attempt = &known.attempts[usize::from(wish)];
    let wanted = setting.wish(client, wish);
    let elapsed = state.reading(client).monotonic.saturating_sub(attempt.first_sent.monotonic);
    let in_time = elapsed <= Duration::from_millis(limits::RETRY_MS);
    known.repeats > 0
        && !attempt.is_over()
        && (wanted.wait.is_some()
            || wanted.request.is_none()
            || in_time
            || !setting.rules.stops_retrying)
}

/// Sends an `Acquire`, the first of its wish or a copy.
pub fn acquire(setting: &Setting, state: &mut State, client: u8, wish: u8) {
    let now = state.reading(client);
    let known = &mut state.clients[usize::from(client)];
    if usize::from(wish) == known.attempts.len() {
        let latest_sent = Reading::default();
        known.attempts.push(Attempt { first_sent: now, latest_sent, guard: None, ended: false });
    } else {
        spend(&mut known.repeats);
    }
    send(setting, state, client, wish, Body::Acquire);
}

/// Sends a renewal of what it thinks it holds, believed or not.
pub fn renew(setting: &Setting, state: &mut State, client: u8, wish: u8) {
    let known = &mut state.clients[usize::from(client)];
    spend(&mut known.renewals);
    if let Some(guard) = known.attempts[usize::from(wish)].guard {
        send(setting, state, client, wish, Body::Renew(guard.token));
    }
}

/// Sends `Release`, or `Cancel` where no token is known or wanted.
pub fn end(setting: &Setting, state: &mut State, client: u8, wish: u8, body: Body) {
    let attempts = &mut state.clients[usize::from(client)].attempts;
    let token = body.token();
    for (index, attempt) in attempts.iter_mut().enumerate() {
        // Acquiring again without request id gave the same lease to two attempts.
        let shares = token.is_some() && attempt.guard.map(|guard| guard.token) == token;
        if index == usize::from(wish) || shares {
            if setting.rules.ends_before_release {
                *attempt = Attempt::ended();
            } else {
                attempt.ended = true;
            }
        }
    }
    state.send(Packet { client, wish, body, sent: (0, 0), age: 0 });
}

fn send(setting: &Setting, state: &mut State, client: u8, wish: u8, body: Body) {
    let now = state.reading(client);
    if setting.rules.renewal_counts_from == CountedFrom::Latest {
        state.clients[usize::from(client)].attempts[usize::from(wish)].latest_sent = now;
    }
    state.send(Packet { client, wish, body, sent: in_ms(now), age: 0 });
}

/// A reply or a push arrives.
pub fn receive(setting: &Setting, state: &mut State, packet: &Packet) {
    let now = state.reading(packet.client);
    let known = &mut state.clients[usize::from(packet.client)];
    let attempt = &mut known.attempts[usize::from(packet.wish)];
    let ignores = attempt.ended && setting.rules.ends_before_release;
    if ignores {
        setting.mark(Mark::LateReplyIgnored);
        return;
    }
    match packet.body {
        Body::Granted(token, term) => granted(setting, attempt, packet, token, term, now),
        Body::Renewed(token) => {
            let sent = match setting.rules.renewal_counts_from {
                CountedFrom::Latest => attempt.latest_sent,
                _ => reading(packet.sent),
            };
            let ttl = setting.wish(packet.client, packet.wish).renewal;
            let Some(guard) = attempt.guard.as_mut().filter(|guard| guard.token == token) else {
                return;
            };
            if guard.lost && setting.rules.lost_stays_lost {
                setting.mark(Mark::LateReplyIgnored);
                return;
            }
            let begins = guard.belief.is_none();
            if conclude(setting, guard, sent, ttl, now) {
                setting.mark(if begins { Mark::BeliefBegunByRenewal } else { Mark::BeliefRenewed });
            }
        }
        Body::Lost(token) => {
            let guard = attempt.guard.as_mut().filter(|guard| guard.token == token);
            if let (Some(guard), true) = (guard, setting.rules.refusal_ends) {
                (guard.belief, guard.lost) = (None, true);
            }
        }
        _ => unreachable!("not a reply"),
    }
}

fn granted(
    setting: &Setting,
    attempt: &mut Attempt,
    packet: &Packet,
    token: mailbus_spec::Ordinal,
    term: Ttl,
    now: Reading,
) {
    let has_request = setting.wish(packet.client, packet.wish).request.is_some();
    let first = setting.rules.grant_counts_from == CountedFrom::First && has_request;
    let sent = if first { attempt.first_sent } else { reading(packet.sent) };
    let guard = attempt.guard.get_or_insert(Guard { token, belief: None, lost: false });
    if guard.token != token {
        *guard = Guard { token, belief: None, lost: false };
    } else if guard.lost && setting.rules.lost_stays_lost {
        setting.mark(Mark::LateReplyIgnored);
        return;
    }
    if conclude(setting, guard, sent, term, now) {
        setting.mark(Mark::Believed);
    }
}

/// Believes in a term if that is longer than what is believed already. Whether it is believed now.
fn conclude(setting: &Setting, guard: &mut Guard, sent: Reading, term: Ttl, now: Reading) -> bool {
    let bound = if setting.rules.allows_for_steps {
        setting.bound
    } else {
        ClockBound { step_ms: 0, ..setting.bound }
    };
    let mut belief = Belief::in_term(sent, term, &bound);
    if !setting.rules.strictly_below {
        belief.lasts += Duration::from_millis(1);
    }
    let longer = guard.belief.is_none_or(|old| old.monotonic_end() < belief.monotonic_end());
    if longer && holds(setting, &belief, now) {
        (guard.belief, guard.lost) = (Some(belief), false);
    }
    guard.belief.is_some()
}

fn holds(setting: &Setting, belief: &Belief, now: Reading) -> bool {
    let by = |now: Duration, then: Duration| now.saturating_sub(then) < belief.lasts;
    let in_term = match setting.rules.clocks {
        Clocks::Both if setting.rules.minds_anomalies => belief.holds(now),
        Clocks::Both => by(now.monotonic, belief.sent.monotonic) && by(now.wall, belief.sent.wall),
        Clocks::MonotonicOnly => by(now.monotonic, belief.sent.monotonic),
        Clocks::WallOnly => by(now.wall, belief.sent.wall),
    };
    let anomaly = in_term
        && setting.rules.minds_anomalies
        && setting.rules.clocks == Clocks::Both
        && compare_readings(belief.sent, now, &setting.bound).is_err();
    if anomaly {
        setting.mark(Mark::AnomalyEndedBelief);
    }
    in_term && !anomaly
}

/// Clients that are awake look at their clocks: what ran out is lost.
pub fn look_at_clocks(setting: &Setting, state: &mut State) {
    for index in 0..state.clients.len() {
        let now = state.reading(index as u8);
        let client = &mut state.clients[index];
        if client.suspended {
            continue;
        }
        for attempt in &mut client.attempts {
            let Some(guard) = &mut attempt.guard else { continue };
            if guard.belief.is_some_and(|belief| !holds(setting, &belief, now)) {
                (guard.belief, guard.lost) = (None, true);
                setting.mark(Mark::BeliefRanOut);
            }
        }
    }
}
