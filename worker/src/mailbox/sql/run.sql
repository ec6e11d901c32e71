-- What waking reads instead of the log: what the rows of a run of messages say, but what was said. It is
-- created by the first event that completes a run.

CREATE TABLE run (
    -- The seq that the run began with.
    first_seq INTEGER NOT NULL PRIMARY KEY,
    -- The largest seq that the run has.
    last_seq  INTEGER NOT NULL,
    -- The object as of the event that wrote the row.
    commit_no INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    -- What the rows of the log from first_seq to last_seq say; NULL if one of them was deleted or changed
    -- since. A run of which nothing is left has no row.
    messages  BLOB
) STRICT;

-- Whoever deletes or changes a message, an older program among them, leaves no run that says otherwise.
CREATE TRIGGER log_deleted AFTER DELETE ON log BEGIN UPDATE run SET messages = NULL WHERE first_seq = (SELECT max(first_seq) FROM run WHERE first_seq <= old.seq) AND last_seq >= old.seq AND messages IS NOT NULL; END;

CREATE TRIGGER log_changed AFTER UPDATE ON log BEGIN UPDATE run SET messages = NULL WHERE first_seq = (SELECT max(first_seq) FROM run WHERE first_seq <= old.seq) AND last_seq >= old.seq AND messages IS NOT NULL; END;
