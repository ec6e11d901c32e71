-- What the mailbox object stores. All tables are created by the first event that writes. None has an
-- index of its own: each would cost one more row a write.

-- One row: floors, for when the rows that carried them are gone. It is written when the clock is
-- re-anchored, a generation begins, rows are deleted, or an event writes nothing else.
CREATE TABLE meta (
    id           INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    -- How many commands and alarms have written.
    commit_no    INTEGER NOT NULL,
    -- The floor of the object's clock, in milliseconds.
    clock        INTEGER NOT NULL,
    -- What is added to the host's time, in milliseconds.
    clock_offset INTEGER NOT NULL,
    -- Which life of the storage this is.
    generation   INTEGER NOT NULL,
    -- The largest seq issued.
    last_seq     INTEGER NOT NULL,
    -- When a round of collection last came to its end.
    round_at     INTEGER NOT NULL,
    -- What was accepted up to here is past its retention for everybody.
    expired      INTEGER NOT NULL
) STRICT;

-- One row a message, whoever it is for.
CREATE TABLE log (
    seq       INTEGER NOT NULL PRIMARY KEY,
    -- The object's clock at the commit; it never falls as seq rises.
    at        INTEGER NOT NULL,
    commit_no INTEGER NOT NULL,
    sender    TEXT NOT NULL,
    -- The sender's idempotency key.
    id        TEXT,
    type      TEXT NOT NULL,
    -- Whom it was sent to; NULL if it was published.
    recipient TEXT,
    -- Whose inbox was full, each name between two line feeds; NULL if nobody's.
    refused   TEXT,
    -- Odd if only an ack settles it. Half of it, rounded down, is one more than the number of agents that it
    -- was given to; 0 or 1 where that is not on record.
    need_ack  INTEGER NOT NULL,
    -- The message as it came. The last column, so that nothing else has to be read past it.
    body      BLOB NOT NULL
) STRICT;

-- One row an agent that is known by name, or that was and is forgotten.
CREATE TABLE agent (
    agent       TEXT NOT NULL PRIMARY KEY,
    -- 0 for one that is forgotten: then only high and forgotten mean something.
    known       INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    -- What was addressed to it up to here and is not in open is over.
    high        INTEGER NOT NULL,
    -- What its inbox refused up to here is forgotten.
    forgotten   INTEGER NOT NULL,
    -- What is pending at or below high, with attempts, failures and due times.
    open        BLOB NOT NULL,
    -- Its losses: how many are not acknowledged, bounds of their seq, how many there ever were.
    gap_count   INTEGER NOT NULL,
    gap_first   INTEGER NOT NULL,
    gap_last    INTEGER NOT NULL,
    gap_through INTEGER NOT NULL,
    -- Its patterns, each with the range of seq that it is for; NULL if it has never chosen.
    subs        BLOB,
    commit_no   INTEGER NOT NULL,
    -- The object's clock when the row was last written.
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a message that failed for good.
CREATE TABLE dead (
    agent    TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    -- How many deliveries are on record.
    attempts INTEGER NOT NULL,
    -- When it was given up.
    at       INTEGER NOT NULL,
    PRIMARY KEY (agent, seq)
) STRICT, WITHOUT ROWID;
