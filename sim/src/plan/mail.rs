//! Operations of agents on mail.

use mailbus_spec::AgentId;
use mailbus_spec::mailbox::{Pattern, Patterns};
use serde::{Deserialize, Serialize};

/// Number of types of messages that the workload knows.
pub const KINDS: u8 = 4;

/// A subscription by number: below [`KINDS`] the type itself; then all of them by their prefix; then
/// everything.
pub type PatternNumber = u8;

/// The prefix of every type.
pub const PREFIXED: PatternNumber = KINDS;
/// Everything.
pub const EVERYTHING: PatternNumber = KINDS + 1;

/// Names from here on are of agents that never connect.
pub const NOBODY: u8 = 100;

/// Transport of an agent's mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailPlan {
    /// The means.
    pub by: Transport,
    /// Types that it subscribes to; nothing leaves that to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patterns: Option<Vec<PatternNumber>>,
}

/// Means by which an agent gets its mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The production client, with a window.
    Bus {
        /// Messages.
        messages: u64,
        /// Bytes.
        bytes: u64,
        /// Handlers at a time.
        handlers: u8,
    },
    /// A client of the original's protocol: it is sent everything and settles nothing.
    Original,
    /// No session: it asks for its inbox now and then.
    Poll,
}

/// Script of a message for its handlers: what becomes of it with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerScript {
    /// They do it at once.
    #[default]
    Done,
    /// They take a while.
    Slow {
        /// Length in ms.
        for_ms: u64,
    },
    /// They fail, each agent's this often.
    Fail {
        /// Number of times.
        times: u8,
    },
    /// Their process dies, each agent's this often.
    Crash {
        /// Number of times.
        times: u8,
    },
}

/// Operation on mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailAction {
    /// Sends messages.
    Send {
        /// Number of the agent to send to, or of nobody from [`NOBODY`] on; nothing publishes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u8>,
        /// Type of them.
        kind: u8,
        /// Number of them.
        copies: u16,
        /// Number of bytes of filling that each has.
        bytes: u16,
        /// True if only an ack settles them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ack_required: bool,
        /// True if they are refused unless that agent is known.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        must_know: bool,
        /// True if nobody keeps them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ephemeral: bool,
        /// Their script for handlers.
        #[serde(rename = "treatment")]
        script: HandlerScript,
    },
    /// Wants more.
    Subscribe {
        /// Pattern of types.
        pattern: PatternNumber,
    },
    /// Wants less.
    Unsubscribe {
        /// Pattern of types.
        pattern: PatternNumber,
    },
    /// Asks for the inbox, page by page, and settles what it reads.
    Poll {
        /// True if it settles.
        ack: bool,
    },
    /// Looks at its dead letters and gives them a second chance.
    Redrive,
    /// Acknowledges what it was told is lost.
    AcknowledgeGap,
    /// An admin forgets an agent.
    Forget {
        /// Agent that it concerns.
        agent: u8,
    },
    /// A second process of the same name gets mail for a while.
    #[serde(rename = "twin")]
    DuplicateProcess {
        /// Time that it lasts, in ms.
        for_ms: u64,
    },
    /// Sends a message, and soon after another under the same id.
    Contradict {
        /// The pause between the two, in ms.
        pause_ms: u64,
    },
}

impl MailAction {
    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Poll { .. } => "poll",
            Self::Redrive => "redrive",
            Self::AcknowledgeGap => "acknowledge gap",
            Self::Forget { .. } => "forget",
            Self::DuplicateProcess { .. } => "twin",
            Self::Contradict { .. } => "contradict",
        }
    }
}

/// The type with this number.
pub(crate) fn kind(number: u8) -> String {
    format!("news.{}", number % KINDS)
}

/// The pattern with this number.
pub(crate) fn pattern(number: u8) -> Pattern {
    let text = match number {
        PREFIXED => "news.*".to_owned(),
        EVERYTHING => "*".to_owned(),
        other => kind(other),
    };
    Pattern::new(text).expect("a plain pattern")
}

/// The patterns with these numbers.
pub(crate) fn patterns(numbers: &[PatternNumber]) -> Patterns {
    numbers.iter().map(|number| pattern(*number)).collect()
}

/// The name of an agent, or of nobody.
pub(crate) fn name_of(number: u8) -> AgentId {
    let name = if number >= NOBODY { format!("nobody-{number}") } else { format!("a{number}") };
    AgentId::new(name).expect("a plain name")
}
