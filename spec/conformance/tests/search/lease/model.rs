//! A world as a model to be searched: what can happen in a state, and what comes of it.

use std::sync::Arc;

use mailbus_spec::lease::Command;
use mailbus_spec::machine::Event;
use mailbus_spec::{Ordinal, limits};
use stateright::{Model, Property};

use crate::harness::{About, Violation, widen};
use crate::lease::belief_check;
use crate::lease::client;
use crate::lease::liveness;
use crate::lease::marks::Mark;
use crate::lease::object;
use crate::lease::scenario::{Budget, Scenario};
use crate::lease::state::{Body, Packet, State};

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    pub scenario: Scenario,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Time passes for everybody.
    Tick,
    /// (client, claim): the first `Acquire`, or a copy.
    Acquire(u8, u8),
    Renew(u8, u8),
    /// A `Release`, or a `Cancel`.
    End(u8, u8, Body),
    Deliver(Packet),
    /// Delivers a packet that stays under way.
    DeliverCopy(Packet),
    Alarm,
    Read,
    HostForward,
    HostBack,
    Suspend(u8),
    Resume(u8),
    WallBack(u8),
    /// An admin ends or drains a lease.
    Force(Ordinal, bool),
    /// An admin ends the ticket of an arrival, as of this generation or an earlier one.
    ForceTicket(u64, bool),
    Snapshot,
    Restore,
    /// The operator opens a restored workspace.
    Open,
    /// (client, claim): a write to the guarded resource, believed in or not.
    Write(u8, u8),
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(&self.scenario)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.violation.is_some() {
            return;
        }
        let horizon = self.scenario.horizon.map(|ticks| ticks * self.scenario.tick_ms);
        if horizon.is_none_or(|end| state.elapsed_ms < end) {
            actions.push(Action::Tick);
        }
        for index in 0..state.clients.len() as u8 {
            self.client_actions(state, index, actions);
        }
        for (at, packet) in state.network.iter().enumerate() {
            if at > 0 && state.network[at - 1] == *packet {
                continue;
            }
            if !packet.body.is_request() && state.clients[usize::from(packet.client)].suspended {
                continue;
            }
            actions.push(Action::Deliver(*packet));
            if state.budget.duplicates > 0 {
                actions.push(Action::DeliverCopy(*packet));
            }
        }
        self.fault_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, &action);
        client::look_at_clocks(&self.scenario, &mut state);
        belief_check::check(&self.scenario, &mut state);
        if self.scenario.keeps_asking {
            liveness::check(&self.scenario, &mut state);
        }
        forget_grants(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("every invariant holds", |_, state: &State| {
            state.violation.is_none()
        })]
    }
}

/// Drops grants whose memory is over for good.
fn forget_grants(state: &mut State) {
    let may_go_back = state.budget.back_steps > 0;
    let surely = if may_go_back { state.object.clock.floor } else { state.object_now() };
    state
        .history
        .granted
        .retain(|once| once.over.is_none_or(|end| end.plus_ms(limits::MEMORY_MS) > surely));
}

impl World {
    fn client_actions(&self, state: &State, index: u8, actions: &mut Vec<Action>) {
        let (client, peer) =
            (&state.clients[usize::from(index)], &self.scenario.peers[usize::from(index)]);
        if state.budget.wall_steps > 0 {
            actions.push(Action::WallBack(index));
        }
        if client.suspended {
            actions.push(Action::Resume(index));
            return;
        }
        if state.budget.suspends > 0 {
            actions.push(Action::Suspend(index));
        }
        let mine = |packet: &&Packet| packet.client == index;
        let may_send = state.network.iter().filter(mine).count() < self.scenario.in_flight;
        if may_send && client.may_begin(&self.scenario, index) {
            actions.push(Action::Acquire(index, client.attempts.len() as u8));
        }
        for (claim, attempt) in client.attempts.iter().enumerate() {
            let (at, claim) = (claim, claim as u8);
            if may_send && client::may_repeat(&self.scenario, state, index, claim) {
                actions.push(Action::Acquire(index, claim));
            }
            if let Some(guard) = attempt.guard {
                if state.budget.writes > 0 {
                    actions.push(Action::Write(index, claim));
                }
                let open = !attempt.ended;
                if may_send && open && !guard.lost && client.renewals > 0 {
                    actions.push(Action::Renew(index, claim));
                }
                // Ending comes first: nothing else is worth sending on a lossy network.
                if open && peer.releases {
                    actions.push(Action::End(index, claim, Body::Release(guard.token)));
                }
            }
            let named = peer.claims[at].request.is_some();
            if peer.cancels && named && !attempt.ended {
                actions.push(Action::End(index, claim, Body::Cancel));
            }
        }
    }

    fn fault_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let budget = &state.budget;
        let mut push_if = |left: u8, action| {
            if left > 0 {
                actions.push(action);
            }
        };
        push_if(budget.alarms, Action::Alarm);
        push_if(budget.reads, Action::Read);
        push_if(budget.forward_steps, Action::HostForward);
        push_if(budget.back_steps, Action::HostBack);
        for (token, lease) in &state.object.leases {
            push_if(budget.drains.min(u8::from(!lease.draining)), Action::Force(*token, true));
            push_if(budget.forces, Action::Force(*token, false));
        }
        for arrival in state.object.queue.keys() {
            push_if(budget.ticket_forces, Action::ForceTicket(*arrival, true));
            push_if(budget.ticket_forces, Action::ForceTicket(*arrival, false));
        }
        for (token, _) in &state.history.forced {
            push_if(budget.force_repeats, Action::Force(*token, false));
        }
        let restored = state.backup.closed_until_ms;
        match (&state.backup.snapshot, restored) {
            (None, _) => push_if(budget.restores, Action::Snapshot),
            (Some(_), None) => push_if(budget.restores, Action::Restore),
            (Some(_), Some(until)) => push_if(u8::from(until <= state.elapsed_ms), Action::Open),
        }
    }

    fn apply(&self, state: &mut State, action: &Action) {
        let scenario = &self.scenario;
        match action {
            Action::Tick => self.tick(state),
            Action::Acquire(client, claim) => client::acquire(scenario, state, *client, *claim),
            Action::Renew(client, claim) => client::renew(scenario, state, *client, *claim),
            Action::End(client, claim, body) => {
                client::end(scenario, state, *client, *claim, *body)
            }
            Action::Deliver(packet) => {
                state.network.retain({
                    let mut found = false;
                    move |other| {
                        found || {
                            found = other == packet;
                            !found
                        }
                    }
                });
                self.deliver(state, packet);
            }
            Action::DeliverCopy(packet) => {
                state.budget.duplicates -= 1;
                scenario.mark(Mark::DuplicateDelivered);
                self.deliver(state, packet);
            }
            Action::Alarm => {
                client::spend(&mut state.budget.alarms);
                object::execute(scenario, state, &Event::Alarm);
            }
            Action::Read => {
                client::spend(&mut state.budget.reads);
                object::execute(scenario, state, &object::question());
            }
            Action::HostForward => {
                state.budget.forward_steps -= 1;
                state.host_shift_ms += scenario.tick_ms as i64;
            }
            Action::HostBack => {
                state.budget.back_steps -= 1;
                state.host_shift_ms -= i64::from(scenario.back_ticks) * scenario.tick_ms as i64;
            }
            Action::Suspend(client) => {
                state.budget.suspends -= 1;
                scenario.mark(Mark::Suspended);
                state.clients[usize::from(*client)].suspended = true;
            }
            Action::Resume(client) => state.clients[usize::from(*client)].suspended = false,
            Action::WallBack(client) => {
                state.budget.wall_steps -= 1;
                let step = u64::from(scenario.wall_back_ticks) * scenario.tick_ms;
                state.clients[usize::from(*client)].wall_back_ms += step;
            }
            Action::Force(token, drain) => self.force(state, *token, *drain),
            Action::ForceTicket(arrival, present) => {
                state.budget.ticket_forces -= 1;
                let generation = if *present { state.object.generation } else { 1 };
                let command = Command::ForceTicket { arrival: *arrival, generation };
                object::execute(scenario, state, &Event::Command(command));
            }
            Action::Snapshot => state.backup.snapshot = Some(Arc::clone(&state.object)),
            Action::Restore => self.restore(state),
            Action::Open => self.open(state),
            Action::Write(client, claim) => self.write(state, *client, *claim),
        }
    }

    fn tick(&self, state: &mut State) {
        state.elapsed_ms += self.scenario.tick_ms;
        for client in state.clients.iter_mut().filter(|client| client.suspended) {
            client.frozen_ms += self.scenario.tick_ms;
        }
        for packet in &mut state.network {
            packet.age += 1;
        }
        state.network.retain(|packet| packet.age <= self.scenario.travel_ticks);
        state.network.sort_unstable();
    }

    fn deliver(&self, state: &mut State, packet: &Packet) {
        if !packet.body.is_request() {
            client::receive(&self.scenario, state, packet);
        } else if state.backup.closed_until_ms.is_none() {
            object::receive(&self.scenario, state, packet);
        }
    }

    fn force(&self, state: &mut State, token: Ordinal, drain: bool) {
        let budget = &mut state.budget;
        let live = state.object.leases.contains_key(&token);
        match (live, drain) {
            (true, true) => budget.drains -= 1,
            (true, false) => budget.forces -= 1,
            (false, _) => budget.force_repeats -= 1,
        }
        let command = Command::ForceRelease { token, reason: String::new(), drain };
        object::execute(&self.scenario, state, &Event::Command(command));
    }

    /// The storage goes back; what was granted since is void, fencing apart.
    fn restore(&self, state: &mut State) {
        let Some(snapshot) = &state.backup.snapshot else { return };
        state.budget.restores -= 1;
        self.scenario.mark(Mark::Restored);
        state.object = Arc::clone(snapshot);
        let closed =
            if self.scenario.rules.operator_closes { self.scenario.longest_ttl_ms() } else { 0 };
        state.backup.closed_until_ms = Some(state.elapsed_ms + closed);
        state.history.granted.clear();
        state.history.cancelled.clear();
        state.history.draining.clear();
        state.history.void_up_to = Some(state.history.largest);
    }

    fn open(&self, state: &mut State) {
        state.backup.closed_until_ms = None;
        // A world restores to one snapshot only: nothing needs it after this.
        state.backup.snapshot = None;
        if self.scenario.rules.operator_recovers {
            let at_least = state.history.largest;
            self.scenario.mark(Mark::Recovered);
            object::execute(&self.scenario, state, &Event::Command(Command::Recover { at_least }));
        }
    }

    /// The resource accepts no token below the largest it has seen. The lease's present holder must
    /// never be the one it refuses.
    fn write(&self, state: &mut State, client: u8, claim: u8) {
        client::spend(&mut state.budget.writes);
        let attempt = &state.clients[usize::from(client)].attempts[usize::from(claim)];
        let Some(token) = attempt.guard.map(|guard| guard.token) else { return };
        if token >= state.history.resource {
            self.scenario.mark(Mark::WriteAccepted);
            state.history.resource = token;
            return;
        }
        self.scenario.mark(Mark::WriteRefused);
        let now = state.object_now();
        let void = state.history.void_up_to.is_some_and(|void| token <= void);
        let is_holder = !void
            && state.object.leases.get(&token).is_some_and(|lease| {
                lease.key.holder == *self.scenario.holder(client) && lease.expires_at > now
            });
        if is_holder {
            let largest = state.history.resource;
            let why = format!("the holder's token {token} is refused after {largest}");
            state.violate(&self.scenario, "fencing", why);
        }
    }
}

impl crate::harness::World for World {
    const GENERATED_MAX: usize = 8_000_000;

    fn about(&self) -> About {
        let Scenario { name, purpose, only, .. } = self.scenario;
        About { name, purpose, only, missing: self.scenario.missing() }
    }

    fn widened(mut self, more: u8) -> Self {
        let scenario = &mut self.scenario;
        let Budget { duplicates, back_steps, alarms, reads, forces, drains, writes, .. } =
            &mut scenario.budget;
        let faults = [duplicates, back_steps, alarms, reads, forces, drains, writes];
        let peers = scenario.peers.iter_mut();
        let copies = peers.flat_map(|peer| [&mut peer.repeats, &mut peer.renewals]);
        faults.into_iter().chain(copies).for_each(|count| widen(count, more));
        scenario.horizon = scenario.horizon.map(|ticks| ticks + u64::from(more));
        self
    }

    fn violation(&self, state: &State) -> Option<Violation> {
        state.violation.clone()
    }
}
