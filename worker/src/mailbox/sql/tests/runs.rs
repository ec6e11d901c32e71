//! Runs where no history leads: a log that an older program wrote, or deletes from; messages that a
//! thousand inboxes refused; and that waking is done in pieces.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, Outcome, Settled};
use mailbus_spec::{HostTime, limits};

use super::crowd::{Stuff, answer, message, name, send, stuff, subscribe};
use super::pair::{Pair, pair, pair_of_runs, write_runs};
use super::storage::{Counting, WithoutRuns};
use crate::machine::Machine;
use crate::mailbox::SqlMailboxes;
use crate::mailbox::sql::load::Loader;
use crate::mailbox::sql::log::RUN_MESSAGES;
use crate::mailbox::sql::rows;
use crate::object::Waking;
use crate::sql::Load;
use crate::sql::tests::NOON;
use crate::storage::{Storage, Value};

fn to_bob(count: u64) -> Stuff {
    Stuff { count, to: Some("bob"), refused: None }
}

/// Number of runs, and of those that tell nothing.
fn runs(pair: &mut Pair) -> (usize, usize) {
    let found = pair.machine.database.query("SELECT messages FROM run", &[]).unwrap();
    let silent = found.iter().filter(|row| row[0] == Value::Null).count();
    (found.len(), silent)
}

#[test]
fn a_log_that_an_older_program_wrote_gets_its_runs_one_by_one() {
    let mut pair = pair();
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    let seqs = stuff(&mut pair, &to_bob(21));
    pair.check_memory();
    for written in 1..=6 {
        answer(&mut pair, written, send("ann", "cid")).unwrap();
        assert_eq!(runs(&mut pair), (usize::try_from(written).unwrap(), 0));
        pair.check_memory();
    }
    // What is settled goes with its run, a round that ends within one leaves it silent until there is
    // enough to tell.
    let what = Settled::Seqs(seqs[..6].to_vec());
    answer(&mut pair, 7, Ask::Ack { agent: name("bob"), what }).unwrap();
    pair.check_memory();
    pair.event(HostTime(NOON + limits::DEDUP_MS), &Event::Alarm);
    assert_eq!(runs(&mut pair), (5, 0));
    pair.check_memory();
}

#[test]
fn what_goes_before_its_run_is_written_leaves_a_short_run() {
    let mut pair = pair();
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    let seqs = stuff(&mut pair, &to_bob(45));
    let what = Settled::Seqs(vec![seqs[40]]);
    answer(&mut pair, 0, Ask::Ack { agent: name("bob"), what }).unwrap();
    // A round writes eight runs, so those that follow the deleted message are still to be written.
    pair.event(HostTime(NOON + limits::DEDUP_MS), &Event::Alarm);
    assert_eq!((pair.model().log.entries.len(), runs(&mut pair)), (44, (9, 0)));
    // Memory has three of the last four and the one after them, waking takes the four that are left.
    for written in [10, 11] {
        answer(&mut pair, limits::DEDUP_MS, send("ann", "bob")).unwrap();
        assert_eq!(runs(&mut pair), (written, 0));
        pair.check_memory();
    }
}

#[test]
fn what_an_older_program_deletes_is_told_by_no_run() {
    let mut pair = pair();
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    let seqs = stuff(&mut pair, &to_bob(16));
    write_runs(&mut pair);
    assert_eq!(runs(&mut pair), (4, 0));
    let deleted = [&seqs[3..4], &seqs[4..8], &seqs[12..13]].concat();
    for seq in &deleted {
        let delete = "DELETE FROM log WHERE seq = ?1";
        pair.machine.database.execute(delete, &[rows::ordinal(*seq)]).unwrap();
    }
    assert_eq!(runs(&mut pair), (4, 3));
    let load =
        |storage: &mut dyn Storage| Loader::in_runs_of(4, Vec::new()).finish(storage).unwrap();
    let mut by_rows = load(&mut WithoutRuns(&mut pair.machine.database));
    by_rows.has_runs = true;
    assert!(load(&mut pair.machine.database) == by_rows);
    // The next event that writes puts the runs in order again, as far as there is enough to tell.
    pair.evict();
    let handle = |pair: &mut Pair, ask: Ask| {
        let event = Event::Command(Command::alone(ask));
        pair.machine.machine.handle(&mut pair.machine.database, HostTime(NOON + 1), &event).unwrap()
    };
    handle(&mut pair, send("ann", "cid"));
    assert_eq!(runs(&mut pair), (3, 1));
    let loaded = load(&mut pair.machine.database);
    let mut by_rows = load(&mut WithoutRuns(&mut pair.machine.database));
    by_rows.has_runs = true;
    assert!(loaded == by_rows && loaded.log.messages() == 11);
}

#[test]
fn a_run_of_messages_that_a_thousand_inboxes_refused_ends_early() {
    const INSERT: &str = "\
        WITH RECURSIVE number (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i < 999), \
        names (text) AS (SELECT char(10) || group_concat(printf('%0100d', i), char(10)) || char(10) \
        FROM number) \
        INSERT INTO log (seq, at, commit_no, sender, id, type, recipient, refused, need_ack, body) \
        SELECT ?1 + i, ?2, 1, 'ann', NULL, 'a', NULL, text, 0, ?3 FROM number, names \
        WHERE i < ?4";
    let count = 260;
    let mut pair = pair_of_runs(count);
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    let body = Value::Blob(message("ann", 7).body.as_bytes().to_vec());
    let [first, count] = [1 << 50, i64::try_from(count).unwrap()].map(Value::Integer);
    let at = rows::instant(pair.model().clock.floor);
    pair.machine.database.execute(INSERT, &[first, at, body, count]).unwrap();
    let load =
        |storage: &mut dyn Storage| Loader::in_runs_of(260, Vec::new()).finish(storage).unwrap();
    let mut by_rows = load(&mut pair.machine.database);
    write_runs(&mut pair);
    by_rows.has_runs = true;
    assert!(load(&mut pair.machine.database) == by_rows);
    let run = "SELECT last_seq - first_seq, length(messages) FROM run";
    let run = pair.machine.database.query(run, &[]).unwrap().remove(0);
    assert!(matches!(run[..], [Value::Integer(..259), Value::Integer(..700_000)]), "{run:?}");
}

#[test]
fn waking_is_done_in_pieces_that_read_little() {
    let mut pair = pair_of_runs(RUN_MESSAGES);
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    let older = 9_000;
    for older_program in [true, false] {
        if older_program {
            stuff(&mut pair, &to_bob(older));
        } else {
            write_runs(&mut pair);
        }
        let mut woken = SqlMailboxes::wake(None, Vec::new());
        let (mut pieces, mut read) = (0, 0);
        loop {
            let mut counting = Counting { database: &mut pair.machine.database, rows: 0 };
            let waking = woken.prepare(&mut counting).unwrap();
            (pieces, read) = (pieces + 1, read + counting.rows);
            assert!(counting.rows <= rows::LOG_PAGE as u64, "{} rows in a piece", counting.rows);
            if waking == Waking::Ready {
                break;
            }
        }
        let runs = older / RUN_MESSAGES as u64;
        let most = if older_program { older } else { runs + older % RUN_MESSAGES as u64 } + 5;
        assert!(read <= most && pieces >= runs / 4, "{read} rows in {pieces} pieces");
        // What is awake reads nothing more than it is asked for.
        let mut counting = Counting { database: &mut pair.machine.database, rows: 0 };
        assert_eq!(woken.prepare(&mut counting), Ok(Waking::Ready));
        assert_eq!(counting.rows, 0);
        let host = HostTime(NOON + 1);
        let heartbeat = Event::Command(Command::alone(Ask::Heartbeat { agent: name("bob") }));
        let handled = woken.handle(&mut counting, host, &heartbeat).unwrap();
        assert!(handled.rows == 0 && counting.rows <= 1, "{} rows", counting.rows);
        let agents = Event::Command(Command::alone(Ask::Agents { after: None, limit: 1 }));
        let handled = woken.handle(&mut counting, host, &agents).unwrap();
        match handled.step.reply.unwrap().answer {
            Ok(Outcome::Agents { agents, .. }) => assert_eq!(agents[0].pending, older),
            other => panic!("{other:?}"),
        }
        assert!(woken.footprint() > older * 32, "{} bytes", woken.footprint());
    }
}

#[test]
fn after_a_piece_that_failed_nothing_is_believed() {
    let mut pair = pair();
    answer(&mut pair, 0, subscribe("bob", "a")).unwrap();
    stuff(&mut pair, &to_bob(21));
    let mut woken = SqlMailboxes::wake(None, Vec::new());
    assert_eq!(woken.prepare(&mut pair.machine.database), Ok(Waking::More));
    pair.machine.database.faults().fail_at = Some(1);
    assert!(woken.prepare(&mut pair.machine.database).is_err());
    pair.machine.database.faults().fail_at = None;
    assert!(woken.prepare(&mut pair.machine.database).is_err());
    let heartbeat = Event::Command(Command::alone(Ask::Heartbeat { agent: name("bob") }));
    assert!(woken.handle(&mut pair.machine.database, HostTime(NOON + 1), &heartbeat).is_err());
    assert_eq!(woken.footprint(), 0);
}
