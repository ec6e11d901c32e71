-- What the lease object stores. Both tables are created by the first event that writes.

-- One row: what no claim says. It is written when the clock is re-anchored, a generation begins,
-- rows are deleted, or an event writes nothing but the clock; else the claim row that is written
-- anyway carries sequence, clock and last_token. The largest sequence of all rows is the newest.
CREATE TABLE meta (
    id           INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    -- How many commands and alarms have written.
    sequence     INTEGER NOT NULL,
    -- The floor of the object's clock, in milliseconds.
    clock        INTEGER NOT NULL,
    -- The largest token issued.
    last_token   INTEGER NOT NULL,
    -- What is added to the host's time, in milliseconds.
    clock_offset INTEGER NOT NULL,
    -- Which life of the storage this is.
    generation   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row an attempt to hold a set of paths: live, waiting or over. It stays where it is, whatever
-- becomes of the attempt, until an alarm deletes it 2 to 3 minutes after its end.
CREATE TABLE claim (
    agent        TEXT NOT NULL,
    session      TEXT NOT NULL,
    -- The client's name of the attempt, or a line feed and the token: the original has no names.
    request      TEXT NOT NULL,
    -- Expiry, deadline or end in object time. What is a lease, draining or a ticket lives as long as
    -- this is later than the clock: a lapse writes no row.
    until        INTEGER NOT NULL,
    -- lease, draining, ticket, released, forced, cancelled.
    state        TEXT NOT NULL,
    -- Of what was granted.
    token        INTEGER,
    -- Of a ticket: the sequence that queued it.
    arrival      INTEGER,
    -- The term granted at first, in milliseconds.
    first_term   INTEGER,
    -- What was asked for, in milliseconds. A request that was cancelled before it was seen has none.
    ttl          INTEGER,
    wait         INTEGER,
    -- The object as of the event that wrote this row.
    sequence     INTEGER NOT NULL,
    clock        INTEGER NOT NULL,
    last_token   INTEGER NOT NULL,
    -- The paths as they were spelled, a line each; of what is over perhaps only the SHA-256 of their keys.
    paths        TEXT,
    paths_digest BLOB,
    PRIMARY KEY (agent, session, request)
) STRICT, WITHOUT ROWID;
