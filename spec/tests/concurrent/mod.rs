//! Histories made from the specification itself, and a second judge of small ones.

use mailbus_spec::conformance::history::{History, Invocation, Outcome};
use mailbus_spec::conformance::{EXACT_START, Epoch, Pace, ReplyOf, Subject};
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

    pub fn history(mut self) -> Leases {
        let mut in_flight: Vec<InFlight> = Vec::new();
        let mut sent = 0;
        while sent < self.commands || in_flight.iter().any(|one| !one.abandoned) {
            self.time_passes();
            let busy = |client| in_flight.iter().any(|one: &InFlight| one.client == client && !one.abandoned);
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
            let at = self.random.random_range(0..in_flight.len());
            if self.goes_on(&mut in_flight[at]) {
                in_flight.swap_remove(at);
            }
        }
        self.history
    }

    fn time_passes(&mut self) {
        if self.random.random_bool(0.5) {
            self.host.0 += self.random.random_range(0..20);
        }
        let now = self.machine.clock.observe(self.host).unwrap().now;
        let due = self.machine.next_alarm().is_some_and(|due| due <= now);
        if self.alarms && due && self.random.random_bool(0.7) {
            self.machine.handle(self.host, &Event::Alarm);
        }
    }

    fn send(&mut self, client: usize) -> InFlight {
        let command = self.machine.propose(&mut self.random, Pace::Short);
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

/// Whether *some* order that agrees with real time gives every answer, whatever the sequences say.
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
