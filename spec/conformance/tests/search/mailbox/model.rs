//! A world as a model to be searched: what can happen in a state, and what comes of it.

use std::sync::Arc;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Ask, Fate, MailboxMachine, Outcome, Settled};
use mailbus_spec::{AgentId, Ordinal};
use stateright::{Model, Property};

use crate::harness::{About, Violation, widen};
use crate::mailbox::client;
use crate::mailbox::liveness;
use crate::mailbox::marks::Mark;
use crate::mailbox::object;
use crate::mailbox::scenario::{Budget, STEP_MS, Scenario};
use crate::mailbox::state::{Backup, Copied, Frame, State};
use crate::mailbox::turning;

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    pub scenario: Scenario,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The next message is sent.
    Send,
    /// One that was sent is sent again.
    Retry(u8),
    Connect(u8),
    /// A process or its network is gone.
    Exit(u8),
    /// The object sees the close of a socket that was left.
    Close(u8, Ordinal),
    /// A push that was under way is there.
    Receive(u8),
    /// A process sends a frame.
    Frame(u8, Frame),
    /// A frame that was under way is there.
    Arrive(u8),
    AckAlone(AgentId, Ordinal),
    AckId(AgentId, Ordinal),
    /// A dead letter is acked.
    Dismiss(AgentId, Ordinal),
    AckGap(AgentId, u64),
    /// An inbox is read, from where the last reading ended.
    Read(AgentId),
    Redrive(AgentId, Ordinal),
    Forget(AgentId),
    /// A request that has arrived before is there once more.
    Copy(usize),
    Choose(u8),
    Alarm,
    Jump,
    Step,
    HostBack,
    Crash,
    Snapshot,
    Restore,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let prelude = self.scenario.prelude.unwrap_or(State::initial);
        let sound = Scenario { mutant: None, only: None, ..self.scenario.clone() };
        vec![prelude(&sound)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.violation.is_some() {
            return;
        }
        if usize::from(state.sent) < self.scenario.mails.len() {
            actions.push(Action::Send);
        }
        for process in 0..state.clients.len() as u8 {
            self.process_actions(state, process, actions);
        }
        self.lone_actions(state, actions);
        self.fault_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every invariant holds", |_, state: &State| state.violation.is_none()),
            Property::always("mail_liveness", |world: &Self, state: &State| {
                !world.scenario.liveness || liveness::violation(&world.scenario, state).is_none()
            }),
        ]
    }
}

impl World {
    fn process_actions(&self, state: &State, process: u8, actions: &mut Vec<Action>) {
        let (scenario, budget) = (&self.scenario, &state.budget);
        let client = &state.clients[usize::from(process)];
        for epoch in &client.closing {
            actions.push(Action::Close(process, *epoch));
        }
        if !client.outbox.is_empty() {
            actions.push(Action::Arrive(process));
        }
        if client.epoch.is_none() {
            if budget.connects > 0 && !client.is_done {
                actions.push(Action::Connect(process));
            }
            return;
        }
        if budget.exits > 0 {
            actions.push(Action::Exit(process));
        }
        if !client.pipe.is_empty() {
            actions.push(Action::Receive(process));
        }
        if !client::may_send(scenario, state, process) {
            return;
        }
        for seq in &client.in_hand {
            if scenario.acks {
                actions.push(Action::Frame(process, Frame::Ack(*seq)));
            }
            if budget.up_tos > 0 {
                actions.push(Action::Frame(process, Frame::UpTo(*seq)));
            }
            if budget.nacks > 0 {
                for delay in 0..scenario.delays.len() as u8 {
                    let nack = client::nack(scenario, state, process, *seq, delay);
                    actions.push(Action::Frame(process, nack));
                }
            }
            if budget.workings > 0 {
                actions.push(Action::Frame(process, Frame::Working(*seq)));
            }
        }
    }

    fn lone_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let budget = &state.budget;
        if budget.retries > 0 {
            actions.extend((0..state.sent).map(Action::Retry));
        }
        for (name, agent) in &state.object.agents {
            if budget.lone_acks > 0 {
                let handled = state.past.fates_of(name).filter(|fate| fate.handled);
                let mut seqs: Vec<Ordinal> = handled.map(|fate| fate.seq).collect();
                seqs.extend(agent.inbox.open.keys());
                seqs.sort_unstable();
                seqs.dedup();
                actions.extend(seqs.into_iter().map(|seq| Action::AckAlone(name.clone(), seq)));
            }
            if budget.dismissals > 0 {
                let seqs = agent.failed.keys();
                actions.extend(seqs.map(|seq| Action::Dismiss(name.clone(), *seq)));
            }
            if budget.id_acks > 0 {
                let seqs = state.past.fates_of(name).map(|fate| fate.seq);
                actions.extend(seqs.map(|seq| Action::AckId(name.clone(), seq)));
            }
            let told = state.past.agent(name).map_or(0, |past| past.told);
            if budget.gap_acks > 0 {
                actions.extend((1..=told).map(|through| Action::AckGap(name.clone(), through)));
            }
            if budget.reads > 0 {
                actions.push(Action::Read(name.clone()));
            }
            if budget.redrives > 0 {
                let letters = state.object.dead_letters(name);
                let seqs = letters.into_iter().map(|letter| letter.seq);
                actions.extend(seqs.map(|seq| Action::Redrive(name.clone(), seq)));
            }
            if budget.forgets > 0 {
                actions.push(Action::Forget(name.clone()));
            }
        }
        if budget.copies > 0 {
            actions.extend((0..state.copies.len()).map(Action::Copy));
        }
        if budget.choices > 0 {
            actions.extend((0..self.scenario.choices.len() as u8).map(Action::Choose));
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
        push_if(budget.steps, Action::Step);
        push_if(budget.back_steps, Action::HostBack);
        if state.object.agents.values().any(|agent| agent.live.is_some()) {
            push_if(budget.crashes, Action::Crash);
        }
        if turning::next(self.scenario.turns, state).is_some() {
            push_if(budget.jumps, Action::Jump);
        }
        match &state.backup {
            None => push_if(budget.restores, Action::Snapshot),
            Some(_) => push_if(budget.restores, Action::Restore),
        }
    }

    fn apply(&self, state: &mut State, action: Action) {
        let scenario = &self.scenario;
        match action {
            Action::Send => object::send_next(scenario, state),
            Action::Retry(mail) => {
                client::spend(&mut state.budget.retries);
                let _ = object::ask(scenario, state, scenario.mail(mail).ask());
            }
            Action::Connect(process) => {
                client::spend(&mut state.budget.connects);
                let _ = client::connect(scenario, state, process);
            }
            Action::Exit(process) => {
                client::spend(&mut state.budget.exits);
                client::exit(state, process);
            }
            Action::Close(process, epoch) => client::close(scenario, state, process, epoch),
            Action::Receive(process) => {
                let client = &mut state.clients[usize::from(process)];
                let seq = client.pipe.remove(0);
                client.take(seq);
            }
            Action::Frame(process, frame) => {
                match frame {
                    Frame::Ack(_) => {}
                    Frame::UpTo(_) => client::spend(&mut state.budget.up_tos),
                    Frame::Nack(..) => client::spend(&mut state.budget.nacks),
                    Frame::Working(_) => client::spend(&mut state.budget.workings),
                }
                client::send(scenario, state, process, frame);
            }
            Action::Arrive(process) => {
                let (epoch, frame) = state.clients[usize::from(process)].outbox.remove(0);
                client::arrive(scenario, state, process, epoch, frame);
            }
            Action::AckAlone(name, seq) => {
                client::spend(&mut state.budget.lone_acks);
                client::ack_alone(scenario, state, &name, seq);
            }
            Action::Dismiss(name, seq) => {
                client::spend(&mut state.budget.dismissals);
                client::ack_alone(scenario, state, &name, seq);
            }
            Action::AckId(name, seq) => {
                client::spend(&mut state.budget.id_acks);
                client::ack_id(scenario, state, &name, seq);
            }
            other => self.apply_rest(state, other),
        }
    }

    fn apply_rest(&self, state: &mut State, action: Action) {
        let scenario = &self.scenario;
        match action {
            Action::AckGap(agent, through) => {
                client::spend(&mut state.budget.gap_acks);
                let what = Settled::Gap(through);
                let answer = object::ask(scenario, state, Ask::Ack { agent, what });
                if matches!(answer, Ok(Outcome::Settled { settled: 1.., .. })) {
                    scenario.mark(Mark::GapAcknowledged);
                }
            }
            Action::Read(agent) => {
                client::spend(&mut state.budget.reads);
                let after = state.past.agent(&agent).map_or(Ordinal::ZERO, |past| past.complete);
                let _ = object::ask(scenario, state, Ask::Inbox { agent, after, limit: 100 });
            }
            Action::Redrive(agent, seq) => {
                client::spend(&mut state.budget.redrives);
                let _ = object::ask(scenario, state, Ask::Redrive { agent, seqs: vec![seq] });
            }
            Action::Forget(agent) => {
                client::spend(&mut state.budget.forgets);
                let epoch = state.object.agents.get(&agent).map(Agent::latest);
                if let Some(epoch) = epoch.filter(|_| state.budget.copies > 0) {
                    state.copies.push(Copied::Forget(agent.clone(), epoch));
                }
                let _ = object::ask(scenario, state, Ask::Forget { agent, epoch });
            }
            Action::Copy(index) => self.copy(state, index),
            Action::Choose(index) => {
                client::spend(&mut state.budget.choices);
                let ask = scenario.choices[usize::from(index)].clone();
                let _ = object::ask(scenario, state, ask);
            }
            Action::Alarm => {
                client::spend(&mut state.budget.alarms);
                object::execute(scenario, state, &Event::Alarm);
            }
            Action::Step => {
                client::spend(&mut state.budget.steps);
                state.host_ms += STEP_MS;
            }
            Action::Jump => {
                client::spend(&mut state.budget.jumps);
                if let Some(at) = turning::next(scenario.turns, state) {
                    state.host_ms = turning::host_at(&state.object, at).0;
                }
            }
            Action::HostBack => {
                client::spend(&mut state.budget.back_steps);
                state.host_ms -= scenario.back_ms;
            }
            Action::Crash => {
                client::spend(&mut state.budget.crashes);
                scenario.mark(Mark::Crashed);
                break_sessions(state);
            }
            Action::Snapshot => {
                let object = Arc::clone(&state.object);
                state.backup = Some(Backup { object, past: state.past.clone() });
            }
            Action::Restore => self.restore(state),
            _ => unreachable!("{action:?} is a process's"),
        }
    }

    /// A copy of a request that has arrived before: it does nothing any more.
    fn copy(&self, state: &mut State, index: usize) {
        client::spend(&mut state.budget.copies);
        let (scenario, copied) = (&self.scenario, state.copies[index].clone());
        match copied {
            Copied::Nack(agent, seq, fence, delay) => {
                let delay = scenario.delays[usize::from(delay)];
                let ask = Ask::Nack { agent, seq, fence: Some(fence), delay };
                let answer = object::ask(scenario, state, ask);
                if answer != Ok(Outcome::Returned(Fate::Unknown)) {
                    let why = format!("a copy of a nack of {seq} was answered {answer:?}");
                    state.violate(scenario, "no_innocent_dead", why);
                }
                scenario.mark(Mark::NackCopied);
            }
            Copied::Forget(agent, epoch) => {
                let ask = Ask::Forget { agent, epoch: Some(epoch) };
                let answer = object::ask(scenario, state, ask);
                if answer != Ok(Outcome::Forgotten { known: false }) {
                    let why = format!("a copy of a forgetting was answered {answer:?}");
                    state.violate(scenario, "no_loss", why);
                }
                scenario.mark(Mark::ForgettingCopied);
            }
        }
    }

    /// The storage goes back, and the sockets are gone.
    fn restore(&self, state: &mut State) {
        client::spend(&mut state.budget.restores);
        let Some(backup) = state.backup.take() else { return };
        self.scenario.mark(Mark::Restored);
        state.object = backup.object;
        state.past = state.past.restored_to(&backup.past, self.scenario.recovers);
        break_sessions(state);
        if !self.scenario.recovers {
            // Numbers are anchored in time, and a restore takes some.
            state.host_ms += STEP_MS;
        } else {
            let ahead = self.scenario.recovers_ahead_ms << Ordinal::SHIFT;
            let at_least = Ordinal::new(state.past.largest.get() + ahead).expect("a later one");
            let _ = object::ask(&self.scenario, state, Ask::Recover { at_least });
        }
    }
}

/// The object died: sockets are gone on both sides, and nobody tells the next one of their close.
fn break_sessions(state: &mut State) {
    let mut object = MailboxMachine::clone(&state.object);
    object.break_sessions();
    state.object = Arc::new(object);
    for agent in &mut state.past.agents {
        (agent.first_through, agent.announced) = (Ordinal::ZERO, None);
    }
    for client in &mut state.clients {
        client.leave();
        client.outbox.clear();
    }
}

impl crate::harness::World for World {
    const GENERATED_MAX: usize = 4_000_000;

    fn about(&self) -> About {
        let Scenario { name, purpose, only, .. } = self.scenario;
        About { name, purpose, only, missing: self.scenario.missing() }
    }

    fn widened(mut self, more: u8) -> Self {
        let Budget { connects, exits, crashes, nacks, lone_acks, gap_acks, reads, steps, .. } =
            &mut self.scenario.budget;
        for count in [connects, exits, crashes, nacks, lone_acks, gap_acks, reads, steps] {
            widen(count, more);
        }
        self
    }

    fn violation(&self, state: &State) -> Option<Violation> {
        state.violation.clone().or_else(|| liveness::violation(&self.scenario, state))
    }
}
