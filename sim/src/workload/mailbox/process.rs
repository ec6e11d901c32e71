//! Process of an agent, with what it has at hand for its mail.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mailbus_client::mailbox::{MailboxClient, MailboxError};
use mailbus_client::session::mailbox::{Config, MailboxSession};
use mailbus_client::transport::{Endpoint, Object, Streams};
use mailbus_spec::mailbox::{Ask, MailboxReply, Window};
use mailbus_spec::wire::mailbox::{decode_reply, encode_call};
use mailbus_spec::{AgentId, Ordinal, SessionId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::TrueTime;
use crate::plan::mail::name_of;
use crate::plan::{MailPlan, Transport};
use crate::sut::carrier::Carried;
use crate::world::Context;
use crate::world::hosted::workspace;
use crate::world::hosts::{AgentClocks, NAME, PORT, SimulatedNetwork};
use crate::world::operator::post;

/// The mail client of a simulated agent.
pub(crate) type Mail = MailboxClient<Rc<AgentClocks>>;

/// One process's mail.
#[derive(Clone)]
pub(crate) struct Process {
    pub context: Rc<Context>,
    /// The agent by number.
    pub number: u8,
    pub agent: AgentId,
    /// Process of the agent.
    pub run: u32,
    pub plan: MailPlan,
    pub clocks: Rc<AgentClocks>,
    seed: u64,
    random: Rc<RefCell<ChaCha8Rng>>,
    /// The bus, while there is one.
    client: Rc<RefCell<Option<Mail>>>,
    sessions: Rc<Cell<u32>>,
    /// Place up to which its inbox was read.
    pub read_through: Rc<Cell<Ordinal>>,
}

impl Process {
    pub fn new(clocks: Rc<AgentClocks>, number: u8, run: u32, plan: MailPlan, seed: u64) -> Self {
        let seed = seed.wrapping_mul(31).wrapping_add(7);
        Self {
            context: Rc::clone(&clocks.context),
            number,
            agent: name_of(number),
            run,
            plan,
            clocks,
            seed,
            random: Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed))),
            client: Rc::default(),
            sessions: Rc::default(),
            read_through: Rc::default(),
        }
    }

    /// The name of the next session of this process: no two of an agent share one.
    pub fn next_session(&self) -> SessionId {
        let number = self.sessions.get() + 1;
        self.sessions.set(number);
        SessionId::new(format!("{}.{number}", self.run)).expect("a plain name")
    }

    /// A session that has not begun.
    pub fn session(&self, id: SessionId) -> MailboxSession {
        let seed = self.seed ^ (u64::from(self.sessions.get()) << 40);
        MailboxSession::new(self.agent.clone(), id, self.config(), seed)
    }

    /// Handlers fail soon and come back soon; some sessions are impatient.
    fn config(&self) -> Config {
        let usual = Config::default();
        let (messages, bytes, concurrency) = match self.plan.by {
            Transport::Bus { messages, bytes, handlers } => {
                (messages, bytes, usize::from(handlers))
            }
            _ => (16, 65_536, 1),
        };
        let attempt_timeout = match (self.seed ^ (self.seed >> 32)) % 4 {
            0 => Duration::from_millis(400),
            1 => Duration::from_millis(1_200),
            _ => usual.attempt_timeout,
        };
        let redelivery = mailbus_client::backoff::Backoff {
            first: Duration::from_millis(300),
            most: Duration::from_secs(8),
        };
        Config {
            window: Window::new(messages, bytes).or(usual.window),
            attempt_timeout,
            handler_timeout: Some(Duration::from_secs(12)),
            redelivery,
            concurrency,
            ..usual
        }
    }

    /// Carrier of commands for this process.
    pub fn carrier(&self) -> Carried<Streams<SimulatedNetwork>> {
        let endpoint =
            Endpoint::new(&format!("http://{NAME}:{PORT}"), workspace()).expect("a plain address");
        let streams = Streams::new(endpoint, SimulatedNetwork, 8);
        Carried::new(streams, self.context.sut.mail_client)
    }

    /// The bus; nothing where mail comes by other means, or while it is not there.
    pub fn client(&self) -> Option<Mail> {
        self.client.borrow().clone()
    }

    pub fn set_client(&self, client: Option<Mail>) {
        self.client.replace(client);
    }

    /// Asks the object something, over the bus or by hand.
    pub async fn ask(&self, ask: Ask) -> Option<MailboxReply> {
        if let Some(client) = self.client() {
            return match client.ask(ask).await {
                Ok(reply) => Some(reply),
                Err(MailboxError::Unknown) => {
                    self.context.reach(crate::judge::history::marks::Mark::UnknownOutcome);
                    None
                }
                Err(_) => None,
            };
        }
        let (action, body) = encode_call(0, &ask)?;
        let (status, body) = post(&self.context, Object::Mailbox, action, body).await.ok()?;
        decode_reply(status, &body).ok()?.result.ok()
    }

    /// Lets a span of true time pass.
    pub async fn pause(&self, span_ms: u64) {
        self.context.sleep_until(self.context.now().plus_ms(span_ms)).await;
    }

    /// A moment of thought.
    pub fn moment(&self) -> TrueTime {
        let span_us = self.random.borrow_mut().random_range(100..=30_000_u64);
        TrueTime(self.context.now().0 + span_us)
    }
}
