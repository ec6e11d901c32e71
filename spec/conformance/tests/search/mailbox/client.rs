//! Processes as clients: they connect, handle what they are given, answer it, and go away.

use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::message::derived_id;
use mailbus_spec::mailbox::{Ask, Command, Connection, Fence, MessageId, Outcome, Settled};
use mailbus_spec::{AgentId, Ordinal};

use crate::harness::UNLIMITED;
use crate::mailbox::marks::Mark;
use crate::mailbox::object::{self, Answer};
use crate::mailbox::scenario::Scenario;
use crate::mailbox::state::{Copied, Frame, State};

/// Frames of one session under way at once.
const OUTBOX: usize = 2;

pub fn spend(count: &mut u8) {
    if *count != UNLIMITED {
        *count -= 1;
    }
}

pub fn connect(scenario: &Scenario, state: &mut State, process: u8) -> Answer {
    let own = scenario.process(process);
    let agent = own.agent.clone();
    let last_seen =
        state.past.agent(&agent).map(|past| past.complete).filter(|seq| *seq > Ordinal::ZERO);
    state.past.connecting = Some(process);
    let ask = Ask::Connect {
        agent,
        session: own.session.clone(),
        window: own.window,
        types: own.types.clone(),
        last_seen,
    };
    let answer = object::ask(scenario, state, ask);
    state.past.connecting = None;
    answer
}

/// The process is gone, or its network is: the object may see that later.
pub fn exit(state: &mut State, process: u8) {
    let client = &mut state.clients[usize::from(process)];
    if let Some(epoch) = client.epoch {
        client.closing.push(epoch);
        client.leave();
        client.is_gone = true;
    }
}

/// The object sees the close of a socket that a process has left.
pub fn close(scenario: &Scenario, state: &mut State, process: u8, epoch: Ordinal) {
    let client = &mut state.clients[usize::from(process)];
    client.closing.retain(|closing| *closing != epoch);
    client.outbox.retain(|(over, _)| *over != epoch);
    let connection = Connection { agent: scenario.process(process).agent.clone(), epoch };
    let _ = object::ask(scenario, state, Ask::Disconnect { connection });
}

/// Sends a frame over the session that the process is in.
pub fn send(scenario: &Scenario, state: &mut State, process: u8, frame: Frame) {
    let at = usize::from(process);
    let Some(epoch) = state.clients[at].epoch else { return };
    let agent = scenario.process(process).agent.clone();
    match frame {
        Frame::Ack(seq) => handle(state, &agent, seq),
        Frame::UpTo(last) => {
            let held: Vec<Ordinal> =
                state.clients[at].in_hand.iter().copied().filter(|seq| *seq <= last).collect();
            held.iter().for_each(|seq| handle(state, &agent, *seq));
        }
        Frame::Nack(..) | Frame::Working(_) => {}
    }
    if !matches!(frame, Frame::Working(_) | Frame::UpTo(_)) {
        state.clients[at].put_down(frame.seq());
    }
    if scenario.slow {
        state.clients[at].outbox.push((epoch, frame));
    } else {
        arrive(scenario, state, process, epoch, frame);
    }
}

/// The frame that gives back the newest push of a message to the process.
pub fn nack(scenario: &Scenario, state: &State, process: u8, seq: Ordinal, delay: u8) -> Frame {
    let agent = state.object.agents.get(&scenario.process(process).agent);
    let newest = agent.and_then(|agent| agent.fence(seq));
    Frame::Nack(seq, newest.map_or(0, |fence| fence.attempt), delay)
}

/// The process fails at these messages so often, and waits until each has come again.
pub fn fail(scenario: &Scenario, state: &mut State, process: u8, seqs: &[Ordinal], times: usize) {
    for floor_ms in limits::FAILURE_FLOORS_MS.iter().take(times) {
        for seq in seqs {
            let nack = nack(scenario, state, process, *seq, 0);
            send(scenario, state, process, nack);
        }
        state.host_ms += floor_ms;
        object::execute(scenario, state, &Event::Alarm);
    }
}

pub fn may_send(scenario: &Scenario, state: &State, process: u8) -> bool {
    !scenario.slow || state.clients[usize::from(process)].outbox.len() < OUTBOX
}

/// A frame arrives at the object.
pub fn arrive(scenario: &Scenario, state: &mut State, process: u8, epoch: Ordinal, frame: Frame) {
    let agent = scenario.process(process).agent.clone();
    let over = Connection { agent: agent.clone(), epoch };
    let ask = match frame {
        Frame::Ack(seq) => Ask::Ack { agent, what: Settled::Seqs(vec![seq]) },
        Frame::UpTo(seq) => Ask::Ack { agent, what: Settled::UpTo(seq) },
        Frame::Nack(seq, attempt, delay) => {
            let fence = Fence { epoch, attempt };
            if state.budget.copies > 0 {
                state.copies.push(Copied::Nack(agent.clone(), seq, fence, delay));
            }
            let delay = scenario.delays[usize::from(delay)];
            Ask::Nack { agent, seq, fence: Some(fence), delay }
        }
        Frame::Working(seq) => Ask::Working { agent, seq },
    };
    let answer = object::command(scenario, state, Command::over(over, ask));
    if let (Frame::UpTo(last), Ok(Outcome::Settled { settled, .. })) = (frame, answer) {
        if settled > 0 {
            scenario.mark(Mark::SettledUpTo);
        }
        let name = scenario.process(process).agent.clone();
        let object = state.object.clone();
        let inbox = object.agents.get(&name).map(|agent| &agent.inbox.open);
        let client = &mut state.clients[usize::from(process)];
        client
            .in_hand
            .retain(|seq| *seq > last || inbox.is_some_and(|open| open.contains_key(seq)));
    }
}

/// Somebody of the agent has handled a message, and so may settle it.
pub fn handle(state: &mut State, name: &AgentId, seq: Ordinal) {
    if let Some(fate) = state.past.fate_mut(name, seq) {
        fate.handled = true;
    }
}

/// An ack in a request of its own, by whoever read the message.
pub fn ack_alone(scenario: &Scenario, state: &mut State, name: &AgentId, seq: Ordinal) {
    handle(state, name, seq);
    let what = Settled::Seqs(vec![seq]);
    let _ = object::ask(scenario, state, Ask::Ack { agent: name.clone(), what });
    put_down_everywhere(scenario, state, name);
}

/// The original's acknowledgement: of everything pending under the id of one delivery.
pub fn ack_id(scenario: &Scenario, state: &mut State, name: &AgentId, seq: Ordinal) {
    let Some(logged) = state.object.log.entries.get(&seq) else { return };
    let id = logged.message.id.clone();
    let id = id.unwrap_or_else(|| MessageId::new(derived_id(seq)).unwrap());
    let same: Vec<Ordinal> = state
        .past
        .fates_of(name)
        .filter(|fate| scenario.mail(fate.mail).message.is_called(fate.seq, &id))
        .map(|fate| fate.seq)
        .collect();
    same.iter().for_each(|seq| handle(state, name, *seq));
    let what = Settled::Id(id);
    let _ = object::ask(scenario, state, Ask::Ack { agent: name.clone(), what });
    put_down_everywhere(scenario, state, name);
}

/// A client does not answer what it knows to be settled.
fn put_down_everywhere(scenario: &Scenario, state: &mut State, name: &AgentId) {
    let object = state.object.clone();
    let open = object.agents.get(name).map(|agent| &agent.inbox.open);
    for (client, process) in state.clients.iter_mut().zip(&scenario.processes) {
        if process.agent == *name {
            client.in_hand.retain(|seq| open.is_some_and(|open| open.contains_key(seq)));
        }
    }
}
