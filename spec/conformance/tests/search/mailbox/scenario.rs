//! Scenario of a world: who sends what, which processes connect, what may happen how often, and
//! which mistake is planted.

use mailbus_conformance::mutants::mailbox::Mutant;
use mailbus_spec::mailbox::{
    Ask, Delay, Message, MessageId, MessageType, Pattern, Patterns, Window,
};
use mailbus_spec::{AgentId, SessionId};

use crate::harness::Reached;
use crate::mailbox::marks::Mark;
use crate::mailbox::state::State;

/// Host time at which every world begins: a full minute in 2027.
pub const BEGIN_MS: u64 = 1_800_000_000_000;
/// The small step of time: what makes two events come at different times.
pub const STEP_MS: u64 = 1_000;

/// One message that is sent once, and perhaps again.
#[derive(Clone, Debug)]
pub struct Mail {
    /// `None`: published.
    pub to: Option<AgentId>,
    pub message: Message,
    /// True if it is refused unless its recipient is known.
    pub must_know: bool,
}

/// One process: the agent it runs as, and what its sessions ask for.
#[derive(Clone, Debug)]
pub struct Process {
    pub agent: AgentId,
    pub session: SessionId,
    /// `None` for the original's protocol.
    pub window: Option<Window>,
    pub types: Option<Patterns>,
}

/// Number of times that each thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub connects: u8,
    /// A process dies or its network does; the object may hear of it later, or never.
    pub exits: u8,
    /// The object dies with its sockets.
    pub crashes: u8,
    /// A message that was sent is sent again.
    pub retries: u8,
    pub nacks: u8,
    pub workings: u8,
    /// Acks over a request of their own: of anything pending, or of what was handled before.
    pub lone_acks: u8,
    /// The original's acknowledgements by id.
    pub id_acks: u8,
    pub up_tos: u8,
    pub gap_acks: u8,
    /// Acks of dead letters that failed.
    pub dismissals: u8,
    pub redrives: u8,
    pub reads: u8,
    pub forgets: u8,
    /// Copies of requests that have arrived before.
    pub copies: u8,
    pub choices: u8,
    /// Rings of the alarm, at any moment.
    pub alarms: u8,
    /// Jumps of time to the next turning point.
    pub jumps: u8,
    /// Steps of [`STEP_MS`].
    pub steps: u8,
    /// Steps of the host's clock by `Scenario::back_ms` back.
    pub back_steps: u8,
    pub restores: u8,
}

/// Instants that time may jump to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    pub due: bool,
    pub dedup: bool,
    pub presumed: bool,
    pub retention: bool,
    pub round: bool,
    pub silence: bool,
    /// The age from which an agent's row is written by its next sign of life.
    pub sight: bool,
}

/// A world: everything that is fixed while it is searched.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The rules that this world is there to refute when they are broken.
    pub purpose: &'static str,
    pub mails: Vec<Mail>,
    pub processes: Vec<Process>,
    /// Subscribes and unsubscribes that may happen, each as often as `Budget::choices` says in all.
    pub choices: Vec<Ask>,
    pub delays: Vec<Delay>,
    pub budget: Budget,
    pub turns: Turns,
    pub back_ms: u64,
    /// Pushes and frames are under way for a while, in order.
    pub slow: bool,
    /// True if clients ack deliveries over their sessions.
    pub acks: bool,
    /// Ordinals are told apart by their distance from the host's clock, not only by rank.
    pub exact: bool,
    /// True if the operator recovers a restored workspace before it serves.
    pub recovers: bool,
    /// Time by which the ordinal that the operator names is ahead of the largest that the world has given.
    pub recovers_ahead_ms: u64,
    /// True if every state is continued without faults, until all is delivered and settled.
    pub liveness: bool,
    pub prelude: Option<fn(&Scenario) -> State>,
    pub mutant: Option<&'static Mutant>,
    /// Look for violations of this invariant alone.
    pub only: Option<&'static str>,
    pub expected: &'static [Mark],
    pub reached: Reached,
}

impl Scenario {
    /// A world without faults.
    pub fn new(
        name: &'static str,
        purpose: &'static str,
        mails: Vec<Mail>,
        processes: Vec<Process>,
    ) -> Self {
        Self {
            name,
            purpose,
            mails,
            processes,
            choices: Vec::new(),
            delays: vec![Delay::NONE],
            budget: Budget::default(),
            turns: Turns::default(),
            back_ms: 0,
            slow: false,
            acks: true,
            exact: false,
            recovers: true,
            recovers_ahead_ms: 0,
            liveness: false,
            prelude: None,
            mutant: None,
            only: None,
            expected: &[],
            reached: Reached::default(),
        }
    }

    /// The same world with a planted mistake, watched by one invariant.
    pub fn with_mutant(mut self, mutant: &'static Mutant, only: &'static str) -> Self {
        (self.mutant, self.only) = (Some(mutant), Some(only));
        self.reached = Reached::default();
        self
    }

    pub fn mark(&self, mark: Mark) {
        self.reached.mark(mark as u64);
    }

    /// Marks that were to be reached and are not.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.expected.iter().filter(|mark| !self.reached.contains(**mark as u64));
        missing.map(|mark| format!("{mark:?}")).collect()
    }

    pub fn process(&self, index: u8) -> &Process {
        &self.processes[usize::from(index)]
    }

    pub fn mail(&self, index: u8) -> &Mail {
        &self.mails[usize::from(index)]
    }

    /// Number of this one among the messages.
    pub fn mail_of(&self, message: &Message) -> Option<u8> {
        let index = self.mails.iter().position(|mail| mail.message == *message)?;
        Some(index as u8)
    }
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn patterns(texts: &[&str]) -> Patterns {
    texts.iter().map(|text| Pattern::new(*text).unwrap()).collect()
}

pub fn delay(ms: u64) -> Delay {
    Delay::from_ms(ms).unwrap()
}

impl Mail {
    /// The message `id` of type `t` from `s`, published.
    pub fn published(id: &str) -> Self {
        let message = Message {
            from: agent("s"),
            id: Some(MessageId::new(id).unwrap()),
            kind: MessageType::new("t").unwrap(),
            ack_required: false,
            ephemeral: false,
            payload: None,
            body: format!("{{\"id\":{id:?}}}"),
        };
        Self { to: None, message, must_know: false }
    }

    /// Request that sends it.
    pub fn ask(&self) -> Ask {
        let (message, must_know) = (self.message.clone(), self.must_know);
        match self.to.clone() {
            Some(to) => Ask::Send { to, message, must_know },
            None => Ask::Publish { message },
        }
    }

    pub fn to(mut self, name: &str) -> Self {
        self.to = Some(agent(name));
        self
    }

    /// The same, if its recipient is known.
    pub fn if_known(mut self) -> Self {
        self.must_know = true;
        self
    }

    pub fn from(mut self, name: &str) -> Self {
        self.message.from = agent(name);
        self
    }

    pub fn kind(mut self, kind: &str) -> Self {
        self.message.kind = MessageType::new(kind).unwrap();
        self
    }

    /// The same with a body of this size.
    pub fn sized(mut self, bytes: usize) -> Self {
        let body = &mut self.message.body;
        body.extend(std::iter::repeat_n(' ', bytes - body.len()));
        self
    }

    pub fn with_payload(mut self, payload: &str) -> Self {
        self.message.payload = Some(payload.into());
        self
    }

    /// The same without an id.
    pub fn nameless(mut self) -> Self {
        self.message.id = None;
        self
    }

    pub fn ack_required(mut self) -> Self {
        self.message.ack_required = true;
        self
    }

    pub fn ephemeral(mut self) -> Self {
        self.message.ephemeral = true;
        self
    }
}

impl Process {
    /// A process of `agent` that negotiated this window.
    pub fn new(name: &str, session: &str, messages: u64, bytes: u64) -> Self {
        Self {
            agent: agent(name),
            session: SessionId::new(session).unwrap(),
            window: Some(Window::new(messages, bytes).unwrap()),
            types: None,
        }
    }

    /// A process of `agent` in the original's protocol.
    pub fn original(name: &str) -> Self {
        let session = SessionId::original();
        Self { agent: agent(name), session, window: None, types: None }
    }

    pub fn wanting(mut self, types: &[&str]) -> Self {
        self.types = Some(patterns(types));
        self
    }
}
