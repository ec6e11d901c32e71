//! Histories made from the specification itself, and a second judge of small ones.

use std::collections::BTreeMap;

use mailbus_conformance::linearize::{History, Invocation, Outcome};
use mailbus_conformance::{EXACT_START, Epoch, Generate, LeaseAgent, Pace, ReplyOf, Text};
use mailbus_spec::lease::{Command, LeaseMachine, Outcome as Answer};
use mailbus_spec::machine::{Event, StateMachine};
use mailbus_spec::time::HostTime;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Leases = History<LeaseMachine>;
type LeaseReply = ReplyOf<LeaseMachine>;

/// Clients on one object whose network is slow: commands wait before and after they are executed, and
/// some replies never come.
pub struct World {
    random: ChaCha8Rng,
    machine: LeaseMachine,
    host: HostTime,
    moment: u64,
    clients: usize,
    commands: usize,
    alarms: bool,
    losses: f64,
    kills: usize,
    /// Agents that the clients are; without agents they ask anything.
    agents: Vec<LeaseAgent>,
    /// Command that a client asks again, since it was cut off.
    again: BTreeMap<usize, Command>,
    history: Leases,
}

struct InFlight {
    client: usize,
    started: u64,
    command: Command,
    reply: Option<LeaseReply>,
    /// Given up by its client; it may still be executed.
    abandoned: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            machine: LeaseMachine::default(),
            host: EXACT_START,
            moment: 0,
            clients: 1,
            commands: 0,
            alarms: false,
            losses: 0.0,
            kills: 0,
            agents: Vec::new(),
            again: BTreeMap::new(),
            history: History::default(),
        }
    }

    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    pub fn commands(mut self, commands: usize) -> Self {
        self.commands = commands;
        self
    }

    pub fn alarms(mut self) -> Self {
        self.alarms = true;
        self
    }

    pub fn losses(mut self, rate: f64) -> Self {
        self.losses = rate;
        self
    }

    /// Clients are agents, each of its own name, that know what they were told.
    pub fn agents(mut self) -> Self {
        self.agents = (0..self.clients).map(LeaseAgent::new).collect();
        self
    }

    /// The server is killed this often. Replies are held until they are durable, so that a kill finds
    /// many executed and not answered; every client asks again.
    pub fn kills(mut self, kills: usize) -> Self {
        self.kills = kills;
        self
    }

    pub fn history(mut self) -> Leases {
        let mut in_flight: Vec<InFlight> = Vec::new();
        let mut sent = 0;
        let mut killed = 0;
        while sent < self.commands || in_flight.iter().any(|one| !one.abandoned) {
            self.time_passes();
            if killed < self.kills && sent > (killed + 1) * self.commands / (self.kills + 1) {
                killed += 1;
                self.kill(&mut in_flight);
            }
            let busy = |client| {
                in_flight.iter().any(|one: &InFlight| one.client == client && !one.abandoned)
            };
            let idle: Vec<usize> = (0..self.clients).filter(|client| !busy(*client)).collect();
            let sends = self.random.random_bool(0.5) || in_flight.is_empty();
            if sends && sent < self.commands && !idle.is_empty() {
                let client = idle[self.random.random_range(0..idle.len())];
                in_flight.push(self.send(client));
                sent += 1;
                continue;
            }
            if in_flight.is_empty() {
                continue;
            }
            let mut at = self.random.random_range(0..in_flight.len());
            if !self.agents.is_empty() && in_flight[at].reply.is_none() {
                // A server takes what came first.
                let waiting = (0..in_flight.len()).filter(|at| in_flight[*at].reply.is_none());
                at = waiting.min_by_key(|at| in_flight[*at].started).unwrap_or(at);
            }
            if self.goes_on(&mut in_flight[at]) {
                in_flight.swap_remove(at);
            }
        }
        self.history
    }

    fn time_passes(&mut self) {
        // Agents are served as fast as a server can.
        let (often, most) = if self.agents.is_empty() { (0.5, 20) } else { (0.1, 3) };
        if self.random.random_bool(often) {
            self.host.0 += self.random.random_range(0..most);
        }
        let now = self.machine.clock.observe(self.host).unwrap().now;
        let due = self.machine.next_alarm().is_some_and(|due| due <= now);
        if self.alarms && due && self.random.random_bool(0.7) {
            self.machine.handle(self.host, &Event::Alarm);
        }
    }

    fn kill(&mut self, in_flight: &mut Vec<InFlight>) {
        in_flight.sort_by_key(|one| one.started);
        let mut alive = true;
        for one in in_flight.drain(..).filter(|one| !one.abandoned) {
            alive &= self.random.random_bool(0.95);
            if one.reply.is_none() && alive {
                self.host.0 += self.random.random_range(0..2);
                self.machine.handle(self.host, &Event::Command(one.command.clone()));
            }
            let ended = Some(self.tick());
            self.note(&one, ended, Outcome::Unknown);
            self.again.insert(one.client, one.command);
        }
        self.host.0 += self.random.random_range(0..40);
    }

    fn send(&mut self, client: usize) -> InFlight {
        let again = self.again.remove(&client);
        let command = again.unwrap_or_else(|| match self.agents.get_mut(client) {
            Some(agent) => agent.next(&mut self.random),
            None => self.machine.generate(&mut self.random, Pace::Short),
        });
        InFlight { client, started: self.tick(), command, reply: None, abandoned: false }
    }

    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// One step of a command: it is given up, executed or answered. True once nothing more happens to it.
    fn goes_on(&mut self, one: &mut InFlight) -> bool {
        if !one.abandoned && self.random.random_bool(self.losses) {
            one.abandoned = true;
            self.note(one, None, Outcome::Unknown);
            return one.reply.is_some();
        }
        match &one.reply {
            None => {
                let event = Event::Command(one.command.clone());
                let step = self.machine.handle(self.host, &event);
                one.reply = step.reply;
                one.abandoned
            }
            Some(reply) => {
                let ended = Some(self.tick());
                if let Some(agent) = self.agents.get_mut(one.client) {
                    agent.learn(&one.command, reply);
                }
                let outcome = Outcome::Replied(reply.clone());
                self.note(one, ended, outcome);
                true
            }
        }
    }

    fn note(&mut self, one: &InFlight, ended: Option<u64>, outcome: Outcome<LeaseMachine>) {
        self.history.invocations.push(Invocation {
            client: one.client,
            started: one.started,
            ended,
            command: one.command.clone(),
            outcome,
        });
    }
}

/// A history by hand: `(started, ended, milliseconds after the start, command)`, executed in this
/// order; the client is the index.
pub fn history_of(lines: &[(u64, u64, i64, &str)]) -> Leases {
    let epoch = Epoch(EXACT_START);
    let mut machine = LeaseMachine::default();
    let mut history = History::default();
    for (client, (started, ended, offset, line)) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let command = LeaseMachine::parse_command(&words, epoch).unwrap();
        let event = Event::Command(command.clone());
        let reply = machine.handle(epoch.host_at(*offset), &event).reply.unwrap();
        history.invocations.push(Invocation {
            client,
            started: *started,
            ended: Some(*ended),
            command,
            outcome: Outcome::Replied(reply),
        });
    }
    history
}

/// The reply of an invocation, to tell a lie in it.
pub fn reply_mut(history: &mut Leases, index: usize) -> &mut LeaseReply {
    match &mut history.invocations[index].outcome {
        Outcome::Replied(reply) => reply,
        Outcome::Unknown => panic!("nothing was answered"),
    }
}

/// The indices of all grants.
pub fn grants(history: &Leases) -> Vec<usize> {
    let is_grant = |one: &Invocation<LeaseMachine>| {
        one.reply().is_some_and(|reply| matches!(reply.answer, Ok(Answer::Granted { .. })))
    };
    let all = history.invocations.iter().enumerate();
    all.filter(|(_, one)| is_grant(one)).map(|(index, _)| index).collect()
}

/// True if *some* order that agrees with real time gives every answer, whatever the sequences say.
/// Exponential; everything has to be answered.
pub fn judge(history: &Leases) -> bool {
    let left: Vec<usize> = (0..history.invocations.len()).collect();
    can_go_on(history, &LeaseMachine::default(), &left)
}

fn can_go_on(history: &Leases, machine: &LeaseMachine, left: &[usize]) -> bool {
    left.is_empty()
        || left.iter().any(|index| {
            let one = &history.invocations[*index];
            let waits = left.iter().any(|other| {
                history.invocations[*other].ended.is_some_and(|ended| ended < one.started)
            });
            let Some(reply) = one.reply().filter(|_| !waits) else { return false };
            let mut after = machine.clone();
            let host = machine.clock.host_at(reply.commit.now);
            let step = after.handle(host, &Event::Command(one.command.clone()));
            let same = step.reply.is_some_and(|given| {
                given.answer == reply.answer && given.commit.now == reply.commit.now
            });
            let rest: Vec<usize> = left.iter().copied().filter(|other| other != index).collect();
            same && can_go_on(history, &after, &rest)
        })
}
