//! A workspace of many messages, and how others fare beside it.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use mailbus_worker::native::Database;
use mailbus_worker::storage::{Storage, Value};
use serde_json::json;

use super::daemon::Program;
use super::http::{Connection, subscribe};
use super::on_event_loop;

/// Makes the mailbox `w0` with some messages pending for `ann`, and ends the program that made it.
pub fn make(data: &Path, messages: i64) {
    let mut daemon = Program::Mailbusd.start(data, &["--anonymous"]);
    on_event_loop(async {
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
}

/// Most that an answer may take: twice the quarter of a second that is promised, since other trials run at
/// the same time.
const SLOWEST: Duration = Duration::from_millis(500);

/// Asks another workspace again and again while the work goes on: it is answered often, and each time soon,
/// or within a part of the whole on a machine that is busy with something else.
pub async fn beside<T>(other: &mut Connection, work: impl Future<Output = T>) -> T {
    let (mut answered, mut slowest) = (0_u32, Duration::ZERO);
    let began = now();
    let done = {
        let others = pin!(async {
            loop {
                let asked = now();
                let list = other.post("/v1/small/lease/list", "{}").await.unwrap();
                assert_eq!(list.status, 200, "{}", list.json());
                slowest = slowest.max(now() - asked);
                answered += 1;
            }
        });
        match select(pin!(work), others).await {
            Either::Left((done, _)) => done,
            Either::Right(((), _)) => unreachable!(),
        }
    };
    let took = now() - began;
    println!("in {took:?} there were {answered} answers, the slowest after {slowest:?}");
    assert!(answered >= 20, "only {answered} answers meanwhile");
    let most = SLOWEST.max(took / 20);
    assert!(slowest <= most, "an answer took {slowest:?} of {took:?}");
    done
}

#[expect(clippy::disallowed_methods, reason = "the programs are on the real clock")]
pub fn now() -> Instant {
    Instant::now()
}
