//! The driver of the laws: random histories, the machine they run on, and what is compared.

use std::collections::BTreeMap;

use mailbus_spec::invariant::Transition;
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, Command, Connection, Delay, MailboxMachine, MailboxStep, Message, MessageId, MessageType,
    Notice, Outcome, Pattern, Push, Rejection, Settled, Window,
};
use mailbus_spec::{AgentId, HostTime, Ordinal, SessionId, StateMachine};
use proptest::prelude::*;

pub const BEGIN_MS: u64 = 1_800_000_000_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
/// Far below every span that the object counts.
pub const SHORT_MS: [u64; 4] = [0, 0, 1, 1_000];
/// Up to where agents are forgotten, not beyond.
pub const LONG_MS: [u64; 8] = [0, 0, 0, 1, 1_000, MINUTE, 2 * MINUTE, 11 * MINUTE];
/// Everything ends sometimes.
pub const ALL_MS: [u64; 9] = [0, 0, 0, 1, 1_000, 2 * MINUTE, 10 * MINUTE, DAY, 7 * DAY];
pub const NAMES: [&str; 4] = ["ada", "bob", "cyd", "dan"];
const KINDS: [&str; 3] = ["t", "t.x", "u"];
const PATTERNS: [&str; 4] = ["*", "t.*", "t", "u"];
const WINDOWS: [Option<(u64, u64)>; 4] =
    [None, Some((1, 1_000)), Some((3, 60)), Some((100, 10_000))];
const DELAYS_MS: [u64; 4] = [0, 0, 1_000, DAY];

/// What somebody does, in small numbers that mean something in every state.
#[derive(Clone, Debug)]
pub enum Deed {
    Connect {
        who: usize,
        session: usize,
        window: usize,
        types: Option<usize>,
        seen: usize,
    },
    Disconnect {
        who: usize,
        back: usize,
    },
    Subscribe {
        who: usize,
        pattern: usize,
    },
    Unsubscribe {
        who: usize,
        pattern: usize,
    },
    Publish(Mail),
    Send {
        to: usize,
        mail: Mail,
    },
    Ack {
        who: usize,
        seqs: Vec<usize>,
        over: bool,
    },
    UpTo {
        who: usize,
        seq: usize,
    },
    AckId {
        who: usize,
        id: usize,
    },
    AckGap {
        who: usize,
        through: u64,
    },
    Nack {
        who: usize,
        seq: usize,
        delay: usize,
    },
    /// Nacks until the message is given up.
    Exhaust {
        who: usize,
        seq: usize,
    },
    Working {
        who: usize,
        seq: usize,
    },
    Inbox {
        who: usize,
        after: usize,
        limit: usize,
    },
    DeadLetters {
        who: usize,
    },
    Redrive {
        who: usize,
        seqs: Vec<usize>,
    },
    Forget {
        who: usize,
    },
    Crash,
}

#[derive(Clone, Debug)]
pub struct Mail {
    pub from: usize,
    pub id: Option<usize>,
    pub kind: usize,
    pub ack_required: bool,
    pub ephemeral: bool,
    pub size: usize,
}

#[derive(Clone, Debug)]
pub struct Moment {
    pub gap_ms: u64,
    pub deed: Deed,
}

fn mail() -> impl Strategy<Value = Mail> {
    let id = proptest::option::weighted(0.8, 0..6_usize);
    let flags = (any::<bool>(), proptest::bool::weighted(0.1));
    (0..NAMES.len(), id, 0..KINDS.len(), flags, 2..40_usize).prop_map(
        |(from, id, kind, (ack_required, ephemeral), size)| Mail {
            from,
            id,
            kind,
            ack_required,
            ephemeral,
            size,
        },
    )
}

/// What concerns the mailbox of `who` alone.
pub fn own_deed(who: std::ops::Range<usize>) -> impl Strategy<Value = Deed> {
    let (who, seq) = (who, 0..6_usize);
    let seqs = proptest::collection::vec(seq.clone(), 1..4);
    let types = proptest::option::weighted(0.3, 0..PATTERNS.len());
    prop_oneof![
        4 => (who.clone(), 0..2_usize, 0..WINDOWS.len(), types, 0..4_usize).prop_map(
            |(who, session, window, types, seen)| Deed::Connect { who, session, window, types, seen }),
        2 => (who.clone(), 0..2_usize).prop_map(|(who, back)| Deed::Disconnect { who, back }),
        1 => (who.clone(), 0..PATTERNS.len()).prop_map(|(who, pattern)| Deed::Subscribe { who, pattern }),
        1 => (who.clone(), 0..PATTERNS.len()).prop_map(|(who, pattern)| Deed::Unsubscribe { who, pattern }),
        5 => (who.clone(), seqs.clone(), any::<bool>())
            .prop_map(|(who, seqs, over)| Deed::Ack { who, seqs, over }),
        1 => (who.clone(), seq.clone()).prop_map(|(who, seq)| Deed::UpTo { who, seq }),
        1 => (who.clone(), 0..6_usize).prop_map(|(who, id)| Deed::AckId { who, id }),
        1 => (who.clone(), 1..4_u64).prop_map(|(who, through)| Deed::AckGap { who, through }),
        4 => (who.clone(), seq.clone(), 0..DELAYS_MS.len())
            .prop_map(|(who, seq, delay)| Deed::Nack { who, seq, delay }),
        3 => (who.clone(), seq.clone()).prop_map(|(who, seq)| Deed::Exhaust { who, seq }),
        2 => (who.clone(), seq.clone()).prop_map(|(who, seq)| Deed::Working { who, seq }),
        2 => (who.clone(), seq, 1..4_usize)
            .prop_map(|(who, after, limit)| Deed::Inbox { who, after, limit }),
        3 => who.clone().prop_map(|who| Deed::DeadLetters { who }),
        3 => (who, seqs).prop_map(|(who, seqs)| Deed::Redrive { who, seqs }),
    ]
}

pub fn deed() -> impl Strategy<Value = Deed> {
    let who = 0..NAMES.len();
    prop_oneof![
        30 => own_deed(who.clone()),
        6 => mail().prop_map(Deed::Publish),
        8 => (who.clone(), mail()).prop_map(|(to, mail)| Deed::Send { to, mail }),
        1 => who.prop_map(|who| Deed::Forget { who }),
        1 => Just(Deed::Crash),
    ]
}

pub fn history(gaps_ms: &'static [u64]) -> impl Strategy<Value = Vec<Moment>> {
    let gap = proptest::sample::select(gaps_ms);
    let moment = (gap, deed()).prop_map(|(gap_ms, deed)| Moment { gap_ms, deed });
    proptest::collection::vec(moment, 1..60)
}

/// The machine with the host's clock, the names in use, and what was told so far.
#[derive(Clone)]
pub struct Run {
    pub machine: MailboxMachine,
    pub host_ms: u64,
    pub names: [&'static str; 4],
    /// Every `seq` that a sender was told.
    pub seqs: Vec<Ordinal>,
    /// Every delivery that was pushed to an agent.
    pub deliveries: BTreeMap<AgentId, Vec<Ordinal>>,
    /// Every epoch that an agent was told.
    pub epochs: BTreeMap<usize, Vec<Ordinal>>,
    /// The pushes of the latest deed.
    pub pushes: Vec<Push>,
}

pub type Answer = Result<Outcome, Rejection>;

impl Run {
    pub fn new() -> Self {
        Self {
            machine: MailboxMachine::default(),
            host_ms: BEGIN_MS,
            names: NAMES,
            seqs: Vec::new(),
            deliveries: BTreeMap::new(),
            epochs: BTreeMap::new(),
            pushes: Vec::new(),
        }
    }

    pub fn name(&self, who: usize) -> AgentId {
        AgentId::new(self.names[who]).unwrap()
    }

    /// The `back`-th latest `seq` told.
    pub fn seq(&self, back: usize) -> Ordinal {
        let at = self.seqs.len().checked_sub(1 + back);
        at.map_or(Ordinal::ZERO, |at| self.seqs[at])
    }

    /// What was pushed to an agent, the `back`-th latest.
    fn delivery(&self, who: usize, back: usize) -> Ordinal {
        let pushed = self.deliveries.get(&self.name(who));
        let at = pushed.and_then(|pushed| pushed.len().checked_sub(1 + back));
        at.map_or_else(|| self.seq(back), |at| self.deliveries[&self.name(who)][at])
    }

    /// The `back`-th latest session of an agent.
    fn connection(&self, who: usize, back: usize) -> Option<Connection> {
        let epochs = self.epochs.get(&who)?;
        let epoch = *epochs.get(epochs.len().checked_sub(1 + back)?)?;
        Some(Connection { agent: self.name(who), epoch })
    }

    pub fn message(&self, mail: &Mail) -> Message {
        let id = mail.id.map(|id| MessageId::new(format!("m{id}")).unwrap());
        let size = mail.size;
        Message {
            from: self.name(mail.from),
            id,
            kind: MessageType::new(KINDS[mail.kind]).unwrap(),
            ack_required: mail.ack_required,
            ephemeral: mail.ephemeral,
            payload: None,
            body: "x".repeat(size),
        }
    }

    /// The command of a deed; `None` for a crash, or what nobody can say yet.
    pub fn command(&self, deed: &Deed) -> Option<Command> {
        let alone = |ask| Some(Command::alone(ask));
        let seqs = |backs: &[usize]| backs.iter().map(|back| self.seq(*back)).collect();
        match deed {
            Deed::Connect { who, session, window, types, seen } => alone(Ask::Connect {
                agent: self.name(*who),
                session: SessionId::new(["", "1"][*session]).unwrap(),
                window: WINDOWS[*window]
                    .map(|(messages, bytes)| Window::new(messages, bytes).unwrap()),
                types: types.map(|pattern| [Pattern::new(PATTERNS[pattern]).unwrap()].into()),
                last_seen: (*seen > 0).then(|| self.seq(*seen)),
            }),
            Deed::Disconnect { who, back } => {
                alone(Ask::Disconnect { connection: self.connection(*who, *back)? })
            }
            Deed::Subscribe { who, pattern } => {
                let types = [Pattern::new(PATTERNS[*pattern]).unwrap()].into();
                alone(Ask::Subscribe { agent: self.name(*who), types })
            }
            Deed::Unsubscribe { who, pattern } => {
                let types = [Pattern::new(PATTERNS[*pattern]).unwrap()].into();
                alone(Ask::Unsubscribe { agent: self.name(*who), types })
            }
            Deed::Publish(mail) => alone(Ask::Publish { message: self.message(mail) }),
            Deed::Send { to, mail } => {
                alone(Ask::Send { to: self.name(*to), message: self.message(mail) })
            }
            Deed::Ack { who, seqs: backs, over } => {
                let over = if *over { Some(self.connection(*who, 0)?) } else { None };
                let what = Settled::Seqs(seqs(backs));
                Some(Command { over, ask: Ask::Ack { agent: self.name(*who), what } })
            }
            Deed::UpTo { who, seq } => {
                let what = Settled::UpTo(self.seq(*seq));
                let ask = Ask::Ack { agent: self.name(*who), what };
                Some(Command::over(self.connection(*who, 0)?, ask))
            }
            Deed::AckId { who, id } => {
                let what = Settled::Id(MessageId::new(format!("m{id}")).unwrap());
                alone(Ask::Ack { agent: self.name(*who), what })
            }
            Deed::AckGap { who, through } => {
                alone(Ask::Ack { agent: self.name(*who), what: Settled::Gap(*through) })
            }
            Deed::Nack { who, seq, delay } => alone(Ask::Nack {
                agent: self.name(*who),
                seq: self.delivery(*who, *seq),
                delay: Delay::from_ms(DELAYS_MS[*delay]).unwrap(),
            }),
            Deed::Exhaust { who, seq } => {
                let (agent, seq) = (self.name(*who), self.delivery(*who, *seq));
                alone(Ask::Nack { agent, seq, delay: Delay::NONE })
            }
            Deed::Working { who, seq } => {
                let seq = self.delivery(*who, *seq);
                let ask = Ask::Working { agent: self.name(*who), seq };
                Some(Command::over(self.connection(*who, 0)?, ask))
            }
            Deed::Inbox { who, after, limit } => {
                let (agent, after) = (self.name(*who), self.seq(*after));
                alone(Ask::Inbox { agent, after, limit: *limit })
            }
            Deed::DeadLetters { who } => {
                let (agent, after) = (self.name(*who), Ordinal::ZERO);
                alone(Ask::DeadLetters { agent, after, limit: 10 })
            }
            Deed::Redrive { who, seqs: backs } => {
                let seqs = backs.iter().map(|back| self.delivery(*who, *back)).collect();
                alone(Ask::Redrive { agent: self.name(*who), seqs })
            }
            Deed::Forget { who } => alone(Ask::Forget { agent: self.name(*who) }),
            Deed::Crash => None,
        }
    }

    /// One event now; every invariant is checked on it.
    pub fn event(&mut self, event: &Event<Command>) -> MailboxStep {
        let (before, host) = (self.machine.clone(), HostTime(self.host_ms));
        let step = self.machine.handle(host, event);
        let after = &self.machine;
        let transition = Transition { before: &before, host, event, step: &step, after };
        transition.check(None).unwrap();
        for push in &step.pushes {
            if let Notice::Message { seq, .. } = push.notice {
                self.deliveries.entry(push.to.agent.clone()).or_default().push(seq);
            }
        }
        self.pushes.extend(step.pushes.iter().cloned());
        step
    }

    pub fn execute(&mut self, who: Option<usize>, command: Command) -> Answer {
        let answer = self.event(&Event::Command(command)).reply.unwrap().answer;
        match (&answer, who) {
            (Ok(Outcome::Accepted { seq, .. }), _) => self.seqs.push(*seq),
            (Ok(Outcome::Connected { epoch, .. }), Some(who)) => {
                self.epochs.entry(who).or_default().push(*epoch);
            }
            _ => {}
        }
        answer
    }

    pub fn act(&mut self, deed: &Deed) -> Option<Answer> {
        self.pushes.clear();
        if let Deed::Crash = deed {
            self.machine.break_sessions();
        }
        let who = if let Deed::Connect { who, .. } = deed { Some(*who) } else { None };
        if let Deed::Exhaust { .. } = deed {
            for _ in 1..limits::MAX_DELIVERIES {
                let command = self.command(deed)?;
                let _ = self.execute(None, command);
            }
        }
        let command = self.command(deed)?;
        Some(self.execute(who, command))
    }

    pub fn live(&mut self, moment: &Moment) -> Option<Answer> {
        self.host_ms += moment.gap_ms;
        self.act(&moment.deed)
    }

    /// Rings the alarm at every instant it is due before `gap_ms` from now have passed.
    pub fn ring_until(&mut self, gap_ms: u64) {
        let end = self.host_ms + gap_ms;
        while let Some(due) = self.machine.next_alarm() {
            let at = self.machine.clock.host_at(due).0.max(self.host_ms);
            if at > end {
                break;
            }
            self.host_ms = at;
            self.event(&Event::Alarm);
        }
        self.host_ms = end;
    }

    pub fn ask_nothing(&mut self) {
        let question = Command::alone(Ask::Agents { after: None, limit: 1 });
        self.event(&Event::Command(question));
    }
}
