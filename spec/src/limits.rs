//! Every bound of the service in one place: nothing is unbounded.

/// Longest agent, session, request or workspace id, in bytes.
pub const ID_MAX_BYTES: usize = 128;
/// Longest normalised path, in bytes.
pub const PATH_MAX_BYTES: usize = 1_024;
/// Most paths of one claim.
pub const CLAIM_MAX_PATHS: usize = 64;
/// Longest reason an admin may give, in bytes.
pub const REASON_MAX_BYTES: usize = 256;

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
/// How long a request is remembered after its end: 2 min.
pub const MEMORY_MS: u64 = 120_000;
/// How long a client goes on sending copies of an unanswered command: 60 s.
///
/// Invariant: this, plus the 60 s a copy is taken to travel, is at most [`MEMORY_MS`].
pub const RETRY_MS: u64 = 60_000;
/// How far a host's clock may be behind before the object's clock is re-anchored: 60 s.
pub const REANCHOR_MS: i64 = 60_000;

/// Most live leases and tickets of a workspace.
pub const WORKSPACE_CLAIMS: usize = 10_000;
/// Most paths under live leases and tickets of a workspace.
pub const WORKSPACE_PATHS: usize = 65_536;
/// Most remembered requests of a workspace.
pub const WORKSPACE_REMEMBERED: usize = 1_000_000;
/// Most live leases and tickets of a holder.
pub const HOLDER_CLAIMS: usize = 256;
/// Most paths under live leases and tickets of a holder.
pub const HOLDER_PATHS: usize = 4_096;
/// Most remembered requests of an agent.
pub const AGENT_REMEMBERED: usize = 100_000;

/// Most entries of one `List` page.
pub const LIST_MAX: usize = 1_000;
/// Entries of a `List` page whose request names no limit.
pub const LIST_DEFAULT: usize = 100;
/// Most bytes of the paths, agents and sessions of one `List` page together: 256 KiB.
///
/// Invariant: one entry always fits. JSON at most doubles these bytes, so that an encoded page stays
/// below 1 MiB.
pub const LIST_MAX_BYTES: usize = 256 << 10;

/// Largest HTTP body, in bytes: 2 MiB.
pub const BODY_MAX_BYTES: usize = 2 << 20;
/// How much of an over-long body is read and dropped before it is refused: 32 MiB.
///
/// Without that the sender sees a reset connection instead of the answer.
pub const BODY_DRAIN_BYTES: usize = 32 << 20;
/// Largest WebSocket frame, in bytes: 4 MiB.
pub const FRAME_MAX_BYTES: usize = 4 << 20;
/// Most commands of one frame.
pub const FRAME_MAX_COMMANDS: usize = 1_000;
/// Bytes of replies after which the further commands of a frame are not executed any more: 2 MiB.
///
/// Invariant: with a `List` page after it and a refusal of 1 KiB for each command it is at most
/// [`FRAME_MAX_BYTES`].
pub const FRAME_REPLY_BYTES: usize = 2 << 20;

const _: () = assert!(RETRY_MS + 60_000 <= MEMORY_MS);
const _: () = assert!(PATH_MAX_BYTES + 2 * ID_MAX_BYTES <= LIST_MAX_BYTES);
const _: () =
    assert!(FRAME_REPLY_BYTES + (1 << 20) + 1_024 * FRAME_MAX_COMMANDS <= FRAME_MAX_BYTES);
