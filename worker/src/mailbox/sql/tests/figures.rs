use super::history::NOON;
use crate::mailbox::Mailboxes;
use crate::mailbox::sql::SqlMailboxes;
use crate::mailbox::sql::state::Machine;
use crate::native::sqlite::Database;
use crate::storage::{Storage, Value};
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::*;
use mailbus_spec::wire::mailbox::stored_message;
use mailbus_spec::*;
use std::time::Instant;

fn name(text: &str) -> AgentId {
    AgentId::new(text).unwrap()
}

#[test]
#[ignore]
#[expect(clippy::disallowed_methods)]
fn figures() {
    for (agents, settled) in [(1, 0), (1, 200_000), (1, 990_000), (1_000, 0), (1_000, 200_000)] {
        let mut db = Database::in_memory().unwrap();
        let mut m = SqlMailboxes::wake(None, Vec::new());
        let host = HostTime(NOON);
        let mut go = |m: &mut SqlMailboxes, db: &mut Database, ask: Ask| {
            m.handle(db, host, &Event::Command(Command::alone(ask))).unwrap()
        };
        let types = || Patterns::from([Pattern::new("a").unwrap()]);
        go(&mut m, &mut db, Ask::Subscribe { agent: name("slow"), types: types() });
        let msg = |i: usize| {
            stored_message(&format!(
                r#"{{"id":"m{i}","from":"ann","type":"a","payload":{i},"f":"{}"}}"#,
                "x".repeat(200)
            ))
            .unwrap()
        };
        for i in 0..3_000 {
            go(&mut m, &mut db, Ask::Publish { message: msg(i) });
        }
        db.execute("WITH RECURSIVE number (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?1) INSERT INTO log (seq, at, commit_no, sender, id, type, recipient, refused, need_ack, body) SELECT (SELECT max(seq) FROM log) + 1 + i, ?2, 5, 'ann', 'x' || i, 'b', NULL, NULL, 0, x'7b7d' || zeroblob(200) FROM number", &[Value::Integer(settled.max(1)), Value::Integer(NOON as i64)]).unwrap();
        for i in 0..agents - 1 {
            go(
                &mut m,
                &mut db,
                Ask::Subscribe {
                    agent: name(&format!("agent-{i}")),
                    types: Patterns::from([Pattern::new("c").unwrap()]),
                },
            );
        }
        m = SqlMailboxes::wake(None, Vec::new());
        let t = Instant::now();
        let Ok(Outcome::Connected { epoch, .. }) = go(
            &mut m,
            &mut db,
            Ask::Connect {
                agent: name("bob"),
                session: SessionId::new("s").unwrap(),
                window: Some(Window::DEFAULT),
                types: Some(types()),
                last_seen: None,
            },
        )
        .step
        .reply
        .unwrap()
        .answer
        else {
            panic!()
        };
        let wake = t.elapsed();
        let live = Connection { agent: name("bob"), epoch };
        let t = Instant::now();
        let n = 3_000;
        let (mut p, mut a) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
        for i in 0..n {
            let message = msg(1_000_000 + i);
            let t = Instant::now();
            let h = m
                .handle(&mut db, host, &Event::Command(Command::alone(Ask::Publish { message })))
                .unwrap();
            p += t.elapsed();
            let Notice::Message { seq, .. } = h.step.pushes[0].notice else { panic!() };
            let t = Instant::now();
            let h = m
                .handle(
                    &mut db,
                    host,
                    &Event::Command(Command::over(
                        live.clone(),
                        Ask::Ack { agent: name("bob"), what: Settled::Seqs(vec![seq]) },
                    )),
                )
                .unwrap();
            a += t.elapsed();
            assert_eq!(h.rows, 1);
        }
        eprintln!(
            "{agents} agents, {settled} settled: wake {wake:?}, publish {:?}, ack {:?}",
            p / n as u32,
            a / n as u32
        );
        let _ = t;
        let later = HostTime(NOON + 130_000);
        let t = Instant::now();
        let h = m.handle(&mut db, later, &Event::Alarm).unwrap();
        eprintln!("   bite {:?} rows {}", t.elapsed(), h.rows);
        let t = Instant::now();
        let machine = Machine::load(&mut db, Vec::new()).unwrap();
        eprintln!("   load {:?} {}", t.elapsed(), machine.log.messages());
    }
}
