//! The wall clock steps while a program runs.

use std::time::Duration;

use serde_json::json;

use crate::bus::run;
use crate::mail;
use crate::support::daemon::Program;
use crate::support::preload::Watched;

const HOUR_MS: i64 = 3_600_000;

/// A message is given back for a second, and then the clock is set: it comes again all the same, though
/// nobody asks for anything.
pub fn what_is_due_comes_though_the_clock_was_set_back(program: Program) {
    let watched = Watched::new();
    let daemon = watched.start(program, &["--anonymous"]);
    run(async {
        let (mut bob, _) = mail::open(daemon.address, "bob", "").await;
        let message = json!({"id": "a", "type": "t"});
        bob.ask(json!({"action": "send", "to": "bob", "message": message})).await;
        let seq = bob.next().await["seq"].clone();
        let back = bob.ask(json!({"action": "nack", "seq": seq, "delayMs": 1_000})).await;
        assert_eq!(back[0]["outcome"], "returned", "{back:?}");
        watched.shift_clock(-HOUR_MS);
        let again = within(Duration::from_secs(30), bob.next()).await;
        assert_eq!((&again["seq"], &again["attempt"]), (&seq, &json!(2)));
    });
}

/// The same with a clock that is set forward: it comes before its time on the other clock.
pub fn what_is_due_comes_early_when_the_clock_was_set_forward(program: Program) {
    let watched = Watched::new();
    let daemon = watched.start(program, &["--anonymous"]);
    run(async {
        let (mut bob, _) = mail::open(daemon.address, "bob", "").await;
        let message = json!({"id": "a", "type": "t"});
        bob.ask(json!({"action": "send", "to": "bob", "message": message})).await;
        let seq = bob.next().await["seq"].clone();
        bob.ask(json!({"action": "nack", "seq": seq, "delayMs": HOUR_MS})).await;
        watched.shift_clock(2 * HOUR_MS);
        let again = within(Duration::from_secs(30), bob.next()).await;
        assert_eq!(again["seq"], seq);
    });
}

#[expect(clippy::disallowed_methods, reason = "the programs are on the real clock")]
async fn within<T>(time: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(time, future).await.expect("it does not come")
}
