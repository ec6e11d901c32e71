//! Many workspaces, and large ones: nobody waits for another.
//!
//! These are about the native shell: the platform gives each object a process's worth of its own.

use std::time::Duration;

use serde_json::json;

use crate::support::daemon::{Daemon, Program};
use crate::support::http::Connection;
use crate::support::large::now;
use crate::support::{large, on_event_loop};

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

/// 400 workspaces are served at a third of the rate of 100 or more.
pub fn no_cliff(program: Program) {
    if program == Program::Mailbusd {
        compare(&["--anonymous", "--threads", "1"], 3);
    }
}

/// Cost of 400 mailboxes where 120 may have their database open: a database opened each, and no
/// more, since nothing is read again.
pub fn few_open(program: Program) {
    if program == Program::Mailbusd {
        compare(&["--anonymous", "--threads", "1", "--open-databases", "240"], 10);
    }
}

/// 400 workspaces take at most so many times as long as 100 for the same number of questions.
fn compare(arguments: &[&str], times: u32) {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let daemons = folders.each_ref().map(|folder| {
        let data = folder.path().join("data");
        large::make(&data, 200);
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
    let data = folder.path().join("data");
    large::make(&data, 300_000);
    // On the same event loop.
    let daemon = Daemon::start(&data, &["--anonymous", "--threads", "1"]);
    on_event_loop(async {
        let mut small = Connection::open(daemon.address).await.unwrap();
        let mut large = Connection::open(daemon.address).await.unwrap();
        let inbox = json!({"agentId": "ann", "limit": 1}).to_string();
        let woken = large.post("/v1/w0/mailbox/inbox", &inbox);
        assert_eq!(large::beside(&mut small, woken).await.unwrap().status, 200);
    });
}
