//! Price of a message, late and early: one agent settles every message, another is
//! connected and never settles anything.
//!
//! The figure is the ratio of what a publication and its acknowledgement take after 200 000 settled
//! messages to what they take after 2 000. Collection runs between, and is not in it: what it costs is
//! a row a message, once. The counts behind it are tested in `worker/tests/mailbox_flat.rs`.

use std::time::{Duration, Instant};

use mailbus_benches::native::{Mail, NEGOTIATED, ORIGINAL, up_to};
use mailbus_worker::native::Database;
use mailbus_worker::object::SocketId;

/// Numbers of settled messages after which is measured. What the silent agent is owed is full after
/// 10 000, and what may come again is kept for 24 000.
const SETTLED: [u64; 4] = [2_000, 20_000, 50_000, 200_000];
/// Number of messages that are measured there.
const MEASURED: u64 = 2_000;
/// Number of messages between two looks at the alarm.
const BATCH: u64 = 100;

/// A workspace with one agent that settles and one that never does.
struct Workspace {
    mail: Mail,
    settles: SocketId,
    settled: u64,
}

impl Workspace {
    /// `kind` is how the agent that never settles connects.
    fn new(kind: &str) -> Self {
        let mut mail = Mail::new(Database::in_memory().expect("a database"));
        mail.connect(kind, "never-settles");
        let settles = mail.connect(NEGOTIATED, "settles");
        Self { mail, settles, settled: 0 }
    }

    /// One message is published and acknowledged.
    fn settle_one(&mut self) {
        let (seq, _) = self.mail.publish();
        self.mail.acknowledge(self.settles, &up_to(seq));
        self.settled += 1;
    }

    /// Goes on until so many messages were settled.
    fn settle_until(&mut self, settled: u64) {
        while self.settled < settled {
            self.settle_one();
            self.rest();
        }
    }

    /// A message takes 5 ms all in all, and alarms ring in time.
    fn rest(&mut self) {
        if self.settled.is_multiple_of(BATCH) {
            self.mail.pass_ms(3 * BATCH);
        }
    }

    /// Time that one message takes: the median of many, collection apart.
    #[expect(clippy::disallowed_methods, reason = "a benchmark is about the clock on the wall")]
    fn measure(&mut self) -> Duration {
        let mut took: Vec<Duration> = (0..MEASURED)
            .map(|_| {
                self.rest();
                let begun = Instant::now();
                self.settle_one();
                begun.elapsed()
            })
            .collect();
        took.sort();
        took[took.len() / 2]
    }
}

fn main() {
    for (name, kind) in [("with a window", NEGOTIATED), ("of the original", ORIGINAL)] {
        println!("beside a silent session {name}, a publication and its acknowledgement take");
        let mut workspace = Workspace::new(kind);
        let mut early = None;
        for before in SETTLED {
            workspace.settle_until(before);
            let took = workspace.measure();
            let ratio = took.as_secs_f64() / early.get_or_insert(took).as_secs_f64();
            println!("{took:>12.1?} after {before:>7} settled messages: {ratio:.2}");
        }
    }
}
