//! Every bound of the service in one place: nothing is unbounded.

pub mod answers;

/// Most workspaces of a class of objects, where they are counted: the original's client makes one for
/// each file that it leases.
///
/// Natively a workspace of a class is a file, which is opened at each start. Cloudflare's platform does
/// not list objects by name and makes one for any name that is asked for, so there nothing is counted:
/// who may make a workspace is what a token allows. Counting would take a registry object: a request
/// more, and a row (a millionth of a dollar) for each workspace and day that it is used, and all
/// workspaces would wait for one object.
pub const WORKSPACES: usize = 100_000;
/// Longest agent, session, request or workspace id, in bytes.
pub const ID_MAX_BYTES: usize = 128;
/// Longest normalised path, in bytes.
pub const PATH_MAX_BYTES: usize = 1_024;
/// Most paths of one claim.
pub const CLAIM_MAX_PATHS: usize = 64;
/// Longest reason an admin may give, in bytes.
pub const REASON_MAX_BYTES: usize = 256;
/// Most holders that a `Deadlock` names. A cycle may be as long as there are claims.
pub const CYCLE_NAMED: usize = 16;
/// Most members of a command that its reply names as ignored.
pub const IGNORED_NAMED: usize = 8;
/// Most characters of a text that somebody sent which are shown in an answer.
pub const EXCERPT_CHARS: usize = 40;

/// Shortest TTL: 1 ms.
pub const TTL_MIN_MS: u64 = 1;
/// Longest TTL: 24 h.
pub const TTL_MAX_MS: u64 = 86_400_000;
/// Shortest wait of a ticket: 1 s.
pub const WAIT_MIN_MS: u64 = 1_000;
/// Longest wait of a ticket: 10 min.
pub const WAIT_MAX_MS: u64 = 600_000;
/// Longest pause between two questions of a waiting client: 10 s.
pub const POLL_MAX_MS: u64 = 10_000;
/// First term of a lease granted out of the queue, at most: 30 s.
pub const QUEUED_TERM_MS: u64 = 30_000;
/// Time for which a request is remembered after its end: 2 min.
pub const MEMORY_MS: u64 = 120_000;
/// Time for which a client goes on sending copies of an unanswered command: 60 s.
///
/// Invariant: this, plus the 60 s a copy is taken to travel, is at most [`MEMORY_MS`].
pub const RETRY_MS: u64 = 60_000;
/// Lag of a host's clock beyond which the object's clock is re-anchored: 60 s.
pub const REANCHOR_MS: i64 = 60_000;

/// Most live leases and tickets of a workspace.
pub const WORKSPACE_CLAIMS: usize = 10_000;
/// Most paths under live leases and tickets of a workspace.
pub const WORKSPACE_PATHS: usize = 65_536;
/// Most remembered requests of a workspace.
pub const WORKSPACE_REMEMBERED: usize = 1_000_000;
/// Most live leases and tickets of an agent, all its sessions together: a tenth of the workspace's.
pub const AGENT_CLAIMS: usize = WORKSPACE_CLAIMS / 10;
/// Most paths under live leases and tickets of an agent: a quarter of the workspace's.
pub const AGENT_PATHS: usize = WORKSPACE_PATHS / 4;
/// Most live tickets of an agent that overlap a new one of it.
pub const AGENT_TICKETS: usize = 8;
/// Most remembered requests of an agent.
pub const AGENT_REMEMBERED: usize = 100_000;

/// Most entries of one `List` page.
pub const LIST_MAX: usize = 1_000;
/// Entries of a `List` page whose request names no limit.
pub const LIST_DEFAULT: usize = 100;
/// Most bytes of the paths, agents and sessions of one `List` page together: 256 KiB.
///
/// Invariant: one entry always fits.
pub const LIST_MAX_BYTES: usize = 256 << 10;

/// Largest HTTP body, in bytes: 2 MiB.
pub const BODY_MAX_BYTES: usize = 2 << 20;
/// Bytes of an over-long body that are read and dropped before it is refused: 32 MiB.
///
/// Without that the sender sees a reset connection instead of the answer.
pub const BODY_DRAIN_BYTES: usize = 32 << 20;
/// Largest WebSocket frame, in bytes: 4 MiB.
pub const FRAME_MAX_BYTES: usize = 4 << 20;
/// Most commands of one frame.
pub const FRAME_MAX_COMMANDS: usize = 1_000;
/// Bytes of replies after which the further commands of a frame are not executed any more: 2 MiB.
///
/// Invariant: with the [longest answer](answers::LONGEST) after it and a
/// [refusal](answers::NOT_EXECUTED) of each command it is at most [`FRAME_MAX_BYTES`].
pub const FRAME_REPLY_BYTES: usize = 2 << 20;
/// Bytes of pushes, to all sockets together, after which the further commands of a frame are not
/// executed any more: 16 MiB. To one socket that is [`FRAME_REPLY_BYTES`], replies included.
///
/// Invariant: with one more push budget it is far below what an object's memory holds.
pub const FRAME_PUSH_BYTES: usize = 16 << 20;

/// Longest type of a message and longest pattern, in bytes.
pub const TYPE_MAX_BYTES: usize = 128;
/// Largest message, in bytes of its JSON text: 1 MiB.
pub const MESSAGE_MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of a message, its own object counted: what readers with a bound of 128, as is usual,
/// still read when the message lies in a frame.
pub const MESSAGE_MAX_DEPTH: usize = 100;
/// Largest ephemeral message: 4 KiB.
pub const EPHEMERAL_MAX_BYTES: usize = 4 << 10;
/// Most names in one ack or redrive.
pub const ACK_SEQS: usize = 10_000;
/// Messages in flight to a session that asks for no other window.
pub const WINDOW_MESSAGES: u64 = 256;
/// Most messages in flight that a session may ask for.
pub const WINDOW_MAX_MESSAGES: u64 = 1_024;
/// Bytes in flight to a session that asks for no other window: 4 MiB.
pub const WINDOW_BYTES: u64 = 4 << 20;
/// Most bytes in flight that a session may ask for: 16 MiB.
pub const WINDOW_MAX_BYTES: u64 = 16 << 20;
/// Most messages that one event pushes, over all sessions.
pub const PUSH_BUDGET_MESSAGES: u64 = 256;
/// Most bytes of messages that one event pushes, over all sessions: 4 MiB.
pub const PUSH_BUDGET_BYTES: u64 = 4 << 20;
/// Most redeliveries in flight to a session without a window.
pub const WINDOWLESS_REDELIVERIES: u64 = 1_024;
/// Longest delay of a nack: 24 h.
pub const DELAY_MAX_MS: u64 = 86_400_000;
/// Messages that are delayed beyond which a session is pushed nothing for the first time, unless four
/// of its windows are more.
pub const DELAYED_MESSAGES: u64 = 1_024;
/// Failures after which a message is given up.
pub const MAX_DELIVERIES: u64 = 5;
/// Least delay of a nack, by the failures of its message before it: 0, 1, 3 and 6 min. So those that a
/// client reports as fast as it can span ten minutes.
///
/// Invariant: one for each failure but the last.
pub const FAILURE_FLOORS_MS: [u64; 4] = [0, 60_000, 180_000, 360_000];

/// Least time that a message stays away which is given back after so many failures: 0 for those that give it up.
#[must_use]
pub fn failure_floor_ms(failures: u64) -> u64 {
    let floor = usize::try_from(failures).ok().and_then(|at| FAILURE_FLOORS_MS.get(at));
    floor.copied().unwrap_or_default()
}

/// Time for which a message's id is remembered: 2 min.
///
/// Invariant: as [`MEMORY_MS`], no less than a client's retries and the way of a copy.
pub const DEDUP_MS: u64 = 120_000;
/// Time after which a delivery to a session that negotiated nothing is presumed settled: 10 min.
pub const PRESUMED_MS: u64 = 600_000;
/// Time for which a message is kept that nobody settles, and after its death what failed: 7 days.
pub const RETENTION_MS: u64 = 604_800_000;
/// Age of an agent's row beyond which the next sign of life of the agent writes it: a day.
pub const SIGHT_MS: u64 = 86_400_000;
/// Time for which an agent is known without a sign of life.
///
/// Invariant: longer than the retention by the age that its row may have when it is last heard of.
pub const KNOWN_MS: u64 = RETENTION_MS + SIGHT_MS;
/// Time for which an agent is known whose losses are not acknowledged: four retentions.
pub const LOSSES_MS: u64 = 4 * RETENTION_MS;
/// Least time between two rounds of collection.
pub const COLLECTION_MS: u64 = 60_000;
/// Most rows that one event of a round deletes from the log.
pub const COLLECTION_ROWS: usize = 5_000;
/// Most superseded sessions of an agent.
pub const AGENT_SUPERSEDED: usize = 8;
/// Most patterns of an agent.
pub const AGENT_PATTERNS: usize = 64;
/// Most messages of an agent that are pending or failed for good.
pub const INBOX_MESSAGES: u64 = 10_000;
/// Most bytes of them: 64 MiB.
pub const INBOX_BYTES: u64 = 64 << 20;
/// Most of them beside which one more that was published fits: three quarters. The rest is for what is sent
/// to the agent.
pub const INBOX_PUBLISHED_MESSAGES: u64 = INBOX_MESSAGES / 4 * 3;
/// Most bytes of them, one more that was published among them: 48 MiB.
pub const INBOX_PUBLISHED_BYTES: u64 = INBOX_BYTES / 4 * 3;
/// Most messages that an agent's full inbox refused and that are kept: the newest.
pub const AGENT_REFUSED: usize = 1_000;
/// Most agents of a workspace.
pub const WORKSPACE_AGENTS: usize = 1_000;
/// Most names of a workspace that never connected and hold mail.
pub const UNKNOWN_NAMES: usize = 1_000;
/// Most messages that such a name holds.
pub const UNKNOWN_NAME_MESSAGES: u64 = 100;
/// Most names that a sender is told when nobody is known by the one it has sent to.
pub const NEAR_NAMES: usize = 3;
/// Most names of one first letter that are looked at for that.
pub const NEAR_CANDIDATES: usize = 64;
/// Most messages in the log of a workspace.
pub const LOG_MESSAGES: u64 = 1_000_000;
/// Most bytes of messages in the log of a workspace: 2 GiB.
pub const LOG_BYTES: u64 = 2 << 30;
/// Most bytes of the messages of one page of an inbox or of dead letters: 1 MiB.
///
/// Invariant: one message always fits.
pub const PAGE_BYTES: u64 = 1 << 20;

const _: () = assert!(FAILURE_FLOORS_MS.len() as u64 + 1 == MAX_DELIVERIES);
const _: () = assert!(RETRY_MS + 60_000 <= DEDUP_MS);
const _: () = assert!(RETRY_MS + 60_000 <= MEMORY_MS);
const _: () = assert!(KNOWN_MS <= LOSSES_MS);
const _: () = assert!(PATH_MAX_BYTES + 2 * ID_MAX_BYTES <= LIST_MAX_BYTES);
const _: () = assert!(MESSAGE_MAX_BYTES as u64 <= PAGE_BYTES);
