//! A disk that is full.

use serde_json::json;

use crate::bus::a_moment;
use crate::support::daemon::Program;
use crate::support::http::Connection;
use crate::support::preload::Watched;
use crate::support::{large, on_event_loop};

/// Number of times that the large workspace is asked for what it cannot write.
const ASKED: usize = 60;

/// While a large workspace fails to write, another on the same event loop is answered as ever; and when
/// there is room again, the first goes on.
pub fn one_that_fails_slows_no_other(program: Program) {
    let watched = Watched::new();
    large::make(&watched.data(), 100_000);
    let daemon = watched.start(program, &["--anonymous", "--threads", "1"]);
    on_event_loop(async {
        let mut failing = Connection::open(daemon.address).await.unwrap();
        let mut other = Connection::open(daemon.address).await.unwrap();
        let mut publish = async |id: usize| {
            let message = json!({"id": format!("m{id}"), "type": "t", "from": "eve"});
            let path = "/v1/w0/mailbox/publish";
            failing.post(path, &message.to_string()).await.unwrap().status
        };
        assert_eq!(publish(0).await, 200);
        watched.fill(true);
        large::beside(&mut other, async {
            for id in 1..=ASKED {
                let status = publish(id).await;
                assert!(status >= 500, "{status} on a full disk");
                a_moment().await;
            }
        })
        .await;
        watched.fill(false);
        while publish(ASKED + 1).await != 200 {
            a_moment().await;
        }
    });
}
