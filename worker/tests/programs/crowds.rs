//! Many workspaces, and large ones: nobody waits for another.
//!
//! These are about the native shell: the platform gives each object a process's worth of its own.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use mailbus_worker::native::Database;
use mailbus_worker::storage::{Storage, Value};
use serde_json::json;

use crate::bus::run;
use crate::support::daemon::{Daemon, Program};
use crate::support::http::{Connection, subscribe};
use crate::support::on_event_loop;

/// Makes the mailbox `w0` with some messages pending for `ann`, and ends the program that made it.
fn made(folder: &Path, messages: i64) -> PathBuf {
    let data = folder.join("data");
    let mut daemon = Program::Mailbusd.start(&data, &["--anonymous"]);
    run(async {
        let path = "/v1/w0/mailbox/";
        let socket = format!("{path}subscribe?agentId=ann&session=1&protocol=1");
        drop(subscribe(daemon.address, &socket).await);
        let mut connection = Connection::open(daemon.address).await.unwrap();
        let message = json!({"id": "0", "type": "t", "from": "bob", "payload": {}});
        let answer = connection.post(&format!("{path}publish"), &message.to_string()).await;
        assert_eq!(answer.unwrap().status, 200);
    });
    daemon.ask_to_stop();
    assert!(daemon.ended().0);
    let mut database = Database::in_file(&data.join("mailbox/w0.sqlite")).unwrap();
    // The same message again and again, under other numbers and names.
    let copied = "\
        INSERT INTO log (seq, at, commit_no, sender, id, type, recipient, refused, need_ack, body) \
        WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n + 1 < ?1) \
        SELECT seq + n, at, commit_no, sender, id || n, type, recipient, refused, need_ack, body \
        FROM log, more";
    database.execute(copied, &[Value::Integer(messages)]).unwrap();
    data
}

/// Asks some workspaces one after the other, and says how long that took.
async fn ask(connection: &mut Connection, workspaces: std::ops::Range<usize>) -> Duration {
    let began = now();
    for n in workspaces {
        let path = format!("/v1/w{n}/mailbox/inbox");
        let answer = connection.post(&path, r#"{"agentId":"ann","limit":1}"#).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    now() - began
}

#[expect(clippy::disallowed_methods, reason = "the programs are on the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// 400 workspaces are served at a third of the rate of 100 or more.
pub fn no_cliff(program: Program) {
    if program == Program::Mailbusd {
        compare(&["--anonymous", "--threads", "1"], 3);
    }
}

/// Where 120 mailboxes may have their database open, 400 cost a database opened each, and no more:
/// nothing is read again.
pub fn few_open(program: Program) {
    if program == Program::Mailbusd {
        compare(&["--anonymous", "--threads", "1", "--open-databases", "240"], 10);
    }
}

/// 400 workspaces take at most so many times as long as 100 for the same number of questions.
fn compare(arguments: &[&str], times: u32) {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let daemons = folders.each_ref().map(|folder| {
        let data = made(folder.path(), 200);
        let file = |n: usize| data.join(format!("mailbox/w{n}.sqlite"));
        for n in 1..400 {
            std::fs::copy(file(0), file(n)).unwrap();
        }
        Daemon::start(&data, arguments)
    });
    on_event_loop(async {
        let mut small = Connection::open(daemons[0].address).await.unwrap();
        let mut large = Connection::open(daemons[1].address).await.unwrap();
        ask(&mut small, 0..100).await;
        ask(&mut large, 0..400).await;
        // By turns, so that whatever else the machine does is in both.
        let (mut of_100, mut of_400) = (Duration::ZERO, Duration::ZERO);
        for round in 0..8 {
            for tenth in 0..10 {
                of_100 += ask(&mut small, tenth * 10..tenth * 10 + 10).await;
                let from = round % 4 * 100 + tenth * 10;
                of_400 += ask(&mut large, from..from + 10).await;
            }
        }
        println!("800 questions to 100 workspaces: {of_100:?}, to 400: {of_400:?}");
        assert!(of_400 <= of_100 * times, "to 100 workspaces: {of_100:?}, to 400: {of_400:?}");
    });
}

/// While a workspace of 300 000 messages wakes, another is answered, and within a quarter of a second.
pub fn a_large_one_wakes(program: Program) {
    if program == Program::MailbusWorkerd {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = made(folder.path(), 300_000);
    // On the same event loop.
    let daemon = Daemon::start(&data, &["--anonymous", "--threads", "1"]);
    on_event_loop(async {
        let mut small = Connection::open(daemon.address).await.unwrap();
        let mut large = Connection::open(daemon.address).await.unwrap();
        let list = "/v1/small/lease/list";
        assert_eq!(small.post(list, "{}").await.unwrap().status, 200);
        let (answered, slowest) = (Cell::new(0_u32), Cell::new(Duration::ZERO));
        let others = std::pin::pin!(async {
            loop {
                let asked = now();
                assert_eq!(small.post(list, "{}").await.unwrap().status, 200);
                slowest.set(slowest.get().max(now() - asked));
                answered.set(answered.get() + 1);
            }
        });
        let inbox = json!({"agentId": "ann", "limit": 1}).to_string();
        let woken = std::pin::pin!(large.post("/v1/w0/mailbox/inbox", &inbox));
        let began = now();
        match select(woken, others).await {
            Either::Left((woken, _)) => assert_eq!(woken.unwrap().status, 200),
            Either::Right(((), _)) => unreachable!(),
        }
        let (answered, slowest, took) = (answered.get(), slowest.get(), now() - began);
        println!(
            "awake after {took:?}; meanwhile {answered} answers, the slowest after {slowest:?}"
        );
        assert!(answered >= 20, "only {answered} answers while it woke");
        // A quarter of a second; on a machine that is busy with something else, a part of the whole.
        let most = Duration::from_millis(250).max(took / 20);
        assert!(slowest <= most, "an answer took {slowest:?} of {took:?}");
    });
}
