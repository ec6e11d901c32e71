//! A minute in which what handlers call is away, with four thousand messages waiting: all are handled in the
//! end, and none is blamed.

use std::collections::VecDeque;

use mailbus_client::session::mailbox::Config;
use mailbus_spec::machine::{Event, StateMachine};
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, Fence, MailboxMachine, MailboxStep, Notice, Outcome, Settled,
    Window,
};
use mailbus_spec::{HostTime, Ordinal, SessionId};

use super::stage::{agent, message, pattern};
use super::world::{Mistake, World};
use crate::network::Packet;

const WAITING: usize = 4_000;
const OUTAGE_MS: u64 = 60_000;
/// Time in which all must have been handled.
const PATIENCE_MS: u64 = 1_800_000;
const READER: &str = "agent-1";

/// Gives the reader mail before it is there.
fn fill(machine: &mut MailboxMachine, host: HostTime) {
    let types = [pattern("*")].into();
    let subscribe = Ask::Subscribe { agent: agent(READER), types };
    machine.handle(host, &Event::Command(Command::alone(subscribe)));
    for _ in 0..WAITING {
        let mut message = message("task");
        message.id = None;
        let send = Ask::Send { to: agent(READER), message, must_know: false };
        let step = machine.handle(host, &Event::Command(Command::alone(send)));
        assert!(step.reply.is_some_and(|reply| reply.answer.is_ok()));
    }
}

fn is_over(machine: &MailboxMachine) -> bool {
    let reader = &machine.agents[&agent(READER)];
    assert!(reader.failed.is_empty(), "{:?}", reader.failed);
    reader.inbox.is_empty()
}

#[test]
fn an_outage_of_a_minute_costs_a_few_nacks_and_no_message() {
    let mut world = World::new(Config::default(), Mistake::None);
    let host = world.host();
    fill(&mut world.object, host);
    let mut nacks = 0;
    while !is_over(&world.object) {
        assert!(world.network.now < PATIENCE_MS);
        world.pump();
        while !world.runs[1].in_hand.is_empty() {
            world.finish(1, 0, world.network.now >= OUTAGE_MS);
            world.pump();
        }
        let is_nack = |packet: &Packet<Ask, Ask, _, _>| {
            matches!(packet, Packet::Command(_, Ask::Nack { .. }, _))
        };
        nacks += world.network.flights.iter().filter(|flight| is_nack(&flight.packet)).count();
        world.deliver_all();
        if world.object.next_alarm().is_some_and(|at| at.ms() <= world.host().0) {
            world.event(&Event::Alarm);
        }
        world.network.now += 200;
    }
    assert_eq!(world.handled.len(), WAITING);
    println!("{nacks} nacks, all handled after {} s", world.network.now / 1_000);
    assert!(nacks < 30, "{nacks}");
}

/// A client of somebody else's, which gives back what it is pushed as soon as it is.
struct Raw {
    machine: MailboxMachine,
    ms: u64,
    pushed: VecDeque<(Ordinal, u64)>,
    nacks: usize,
    acks: usize,
}

impl Raw {
    fn host(&self) -> HostTime {
        HostTime(1_800_000_000_000 + self.ms)
    }

    fn event(&mut self, event: &Event<Command>) -> MailboxStep {
        let host = self.host();
        let step = self.machine.handle(host, event);
        self.pushed.extend(step.pushes.iter().filter_map(|push| match &push.notice {
            Notice::Message { seq, attempt, .. } => Some((*seq, *attempt)),
            _ => None,
        }));
        step
    }

    fn ask(&mut self, over: Option<&Connection>, ask: Ask) -> Outcome {
        let command = Command { over: over.cloned(), ask };
        self.event(&Event::Command(command)).reply.unwrap().answer.unwrap()
    }
}

#[test]
fn a_client_that_gives_back_at_once_loses_nothing_in_an_outage_either() {
    let mut raw = Raw {
        machine: MailboxMachine::default(),
        ms: 0,
        pushed: VecDeque::new(),
        nacks: 0,
        acks: 0,
    };
    let host = raw.host();
    fill(&mut raw.machine, host);
    let connect = Ask::Connect {
        agent: agent(READER),
        session: SessionId::new("raw").unwrap(),
        window: Some(Window::DEFAULT),
        types: None,
        last_seen: None,
    };
    let Outcome::Connected { epoch, .. } = raw.ask(None, connect) else { panic!("a session") };
    let own = Connection { agent: agent(READER), epoch };
    while !is_over(&raw.machine) {
        assert!(raw.ms < PATIENCE_MS);
        while let Some((seq, attempt)) = raw.pushed.pop_front() {
            if raw.ms < OUTAGE_MS {
                raw.nacks += 1;
                let fence = Some(Fence { epoch, attempt });
                let delay = Delay::from_ms(100 * attempt).unwrap();
                raw.ask(Some(&own), Ask::Nack { agent: own.agent.clone(), seq, fence, delay });
            } else {
                raw.acks += 1;
                let what = Settled::Seqs(vec![seq]);
                raw.ask(Some(&own), Ask::Ack { agent: own.agent.clone(), what });
            }
        }
        raw.ms += 500;
        raw.event(&Event::Alarm);
    }
    assert_eq!(raw.acks, WAITING);
    println!("{} nacks, all handled after {} s", raw.nacks, raw.ms / 1_000);
    assert!(raw.nacks < 2 * WAITING, "{}", raw.nacks);
}
