//! The longest text of each kind of answer, in bytes of its JSON: no answer is as long as there are other
//! people's things.
//!
//! A name that is a text of JSON has at most twice its bytes, as it has no control characters.

use super::{
    AGENT_PATTERNS, CLAIM_MAX_PATHS, CYCLE_NAMED, EXCERPT_CHARS, FRAME_MAX_BYTES,
    FRAME_MAX_COMMANDS, FRAME_REPLY_BYTES, ID_MAX_BYTES, IGNORED_NAMED, LIST_MAX, LIST_MAX_BYTES,
    MESSAGE_MAX_BYTES, PAGE_BYTES, PATH_MAX_BYTES, REASON_MAX_BYTES, TYPE_MAX_BYTES,
    WORKSPACE_AGENTS,
};

/// Bytes of an answer besides what is counted: names of members, numbers, prose, commit.
pub const REST: usize = 1 << 10;
/// Bytes of one entry of a page besides its names or its message.
pub const ENTRY: usize = 256;

/// A page of leased paths.
pub const LEASES: usize = 2 * LIST_MAX_BYTES + LIST_MAX * ENTRY + REST;
/// A page of tickets, whose paths have quotes and a comma each.
pub const TICKETS: usize =
    2 * LIST_MAX_BYTES + LIST_MAX * (ENTRY + CLAIM_MAX_PATHS * PUNCTUATION) + REST;
/// A page of agents, whose patterns have quotes and a comma each.
pub const AGENTS: usize =
    2 * LIST_MAX_BYTES + LIST_MAX * (ENTRY + AGENT_PATTERNS * PUNCTUATION) + REST;
/// A page of an inbox or of dead letters.
pub const PAGE: usize = PAGE_BYTES as usize + LIST_MAX * ENTRY + REST;
/// A claim: who holds it and all its paths, of which the prose says one and the holder again.
pub const CLAIM: usize = names(CLAIM_MAX_PATHS + 1, PATH_MAX_BYTES) + names(4, ID_MAX_BYTES) + REST;
/// A cycle of waits, which the prose says again.
pub const DEADLOCK: usize = 2 * CYCLE_NAMED * (names(2, ID_MAX_BYTES) + ENTRY) + REST;
/// A message that is kept, and whose inbox was full.
pub const ACCEPTED: usize = names(WORKSPACE_AGENTS, ID_MAX_BYTES) + REST;
/// An agent's subscriptions.
pub const SUBSCRIBED: usize = names(AGENT_PATTERNS, TYPE_MAX_BYTES) + REST;
/// Names of members that were ignored. A character that is shown has at most seven bytes: a control character
/// is escaped twice.
pub const IGNORED: usize = IGNORED_NAMED * (7 * (EXCERPT_CHARS + 1) + PUNCTUATION) + 16;
/// The longest answer to a command.
pub const LONGEST: usize = IGNORED
    + longest(&[
        LEASES,
        TICKETS,
        AGENTS,
        PAGE,
        CLAIM,
        DEADLOCK,
        ACCEPTED,
        SUBSCRIBED,
        NOT_EXECUTED,
    ]);

/// The refusal of a command that was not executed: it cannot be read, may not be given here, or came after
/// too many others.
pub const NOT_EXECUTED: usize = 768;

/// A message that is pushed.
pub const DELIVERY: usize = MESSAGE_MAX_BYTES + ENTRY;
/// Bytes of a push besides messages. A reason may have control characters, of six bytes each.
pub const NOTICE: usize = longest(&[names(1, ID_MAX_BYTES), 6 * REASON_MAX_BYTES]) + REST;

/// Quotes and a comma.
const PUNCTUATION: usize = 3;

#[expect(clippy::arithmetic_side_effects, reason = "evaluated by the compiler alone")]
const fn names(count: usize, bytes: usize) -> usize {
    count * (2 * bytes + PUNCTUATION)
}

const fn longest(kinds: &[usize]) -> usize {
    match kinds {
        [] => 0,
        [first, rest @ ..] => {
            let rest = longest(rest);
            if *first > rest { *first } else { rest }
        }
    }
}

const _: () = assert!(
    FRAME_REPLY_BYTES + LONGEST + FRAME_MAX_COMMANDS * (NOT_EXECUTED + PUNCTUATION) + REST
        <= FRAME_MAX_BYTES
);
const _: () = assert!(longest(&[DELIVERY, NOTICE]) + REST <= FRAME_MAX_BYTES);
// A page of tickets has room for any one of them.
const _: () = assert!(CLAIM_MAX_PATHS * PATH_MAX_BYTES + 3 * ID_MAX_BYTES <= LIST_MAX_BYTES);
