//! Worlds about what is accepted, kept, lost and told of, and about clocks and restored storage.

use mailbus_spec::limits;
use mailbus_spec::mailbox::{Ask, Settled};

use super::{fill, full, to_r};
use crate::harness::UNLIMITED;
use crate::mailbox::client;
use crate::mailbox::marks::Mark;
use crate::mailbox::object;
use crate::mailbox::scenario::{
    Budget, Mail, Process, STEP_MS, Scenario, Turns, agent, delay, patterns,
};
use crate::mailbox::state::State;

/// Losses out of order, acknowledged late, twice and in between.
pub fn gaps() -> Scenario {
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            for _ in 0..2 {
                object::send_next(scenario, &mut state);
                state.host_ms += STEP_MS;
            }
            let _ = client::connect(scenario, &mut state, 0);
            let second = state.clients[0].in_hand[1];
            client::fail(scenario, &mut state, 0, &[second], limits::FAILURE_FLOORS_MS.len());
            state
        }),
        turns: Turns { retention: true, ..Turns::default() },
        budget: Budget {
            connects: 1,
            exits: 1,
            nacks: 1,
            gap_acks: 2,
            redrives: 1,
            reads: 2,
            alarms: 2,
            jumps: UNLIMITED,
            ..Budget::default()
        },
        expected: &[
            Mark::DeadLettered,
            Mark::Expired,
            Mark::LostOutOfOrder,
            Mark::GapPushed,
            Mark::GapTold,
            Mark::GapAcknowledged,
            Mark::SettledNothing,
            Mark::Redriven,
        ],
        ..Scenario::new(
            "gaps",
            "losses are acknowledged by their number, so that none is that nobody was told of",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 3, 1_000)],
        )
    }
}

/// Retries, one id of two senders, one id for two messages, and collection.
pub fn dedup() -> Scenario {
    let mails = vec![
        Mail::published("1").to("r"),
        Mail::published("1").to("r").from("x"),
        Mail::published("1").to("r").with_payload("2"),
    ];
    Scenario {
        turns: Turns { dedup: true, ..Turns::default() },
        budget: Budget { connects: 1, retries: 2, alarms: 2, jumps: 2, ..Budget::default() },
        liveness: true,
        expected: &[Mark::Duplicate, Mark::Conflict, Mark::Settled, Mark::Collected, Mark::Drained],
        ..Scenario::new(
            "dedup",
            "a sender's id is accepted once within the window, settled and collected or not",
            mails,
            vec![Process::new("r", "1", 3, 1_000)],
        )
    }
}

/// One id of two senders, acknowledged by it, with a session that is shown one at a time, and without.
pub fn namesakes() -> Scenario {
    Scenario {
        budget: Budget {
            connects: 2,
            exits: 1,
            crashes: 1,
            id_acks: 2,
            reads: 1,
            ..Budget::default()
        },
        liveness: true,
        expected: &[Mark::Pushed, Mark::Settled, Mark::Crashed, Mark::DeliveredInTheEnd],
        ..Scenario::new(
            "namesakes",
            "an ack by id settles what was shown under it, and all only if nothing was",
            vec![Mail::published("1").to("r"), Mail::published("1").to("r").from("x")],
            vec![Process::new("r", "1", 1, 1_000)],
        )
    }
}

/// Mail for a name that is not known and then is, with and without the wish that it be known; and its copies.
pub fn told() -> Scenario {
    let mails = vec![
        Mail::published("1").to("r").if_known(),
        Mail::published("2").to("r"),
        Mail::published("3").to("r").ephemeral().if_known(),
        Mail::published("4"),
    ];
    Scenario {
        turns: Turns { dedup: true, ..Turns::default() },
        budget: Budget { connects: 1, exits: 1, retries: 2, jumps: 1, ..Budget::default() },
        expected: &[Mark::UnknownAgent, Mark::Accepted, Mark::Duplicate],
        ..Scenario::new(
            "told",
            "what a sender is told is true, the second time too; a known recipient is one who is known",
            mails,
            vec![Process::new("r", "1", 3, 1_000)],
        )
    }
}

/// Mail that is too old, for agents who are there, who were there, and rounds at any moment.
pub fn retention() -> Scenario {
    Scenario {
        turns: Turns { retention: true, round: true, silence: true, ..Turns::default() },
        delays: vec![delay(limits::DELAY_MAX_MS)],
        budget: Budget {
            connects: 2,
            exits: 1,
            nacks: 1,
            steps: 1,
            alarms: UNLIMITED,
            jumps: UNLIMITED,
            ..Budget::default()
        },
        liveness: true,
        expected: &[
            Mark::Expired,
            Mark::GapPushed,
            Mark::Drained,
            Mark::Forgotten,
            Mark::NackedForLater,
            Mark::DeliveredInTheEnd,
        ],
        ..Scenario::new(
            "retention",
            "what is too old is lost and counted, never pushed, and everything is forgotten in the end",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 1, 1_000)],
        )
    }
}

/// An agent without a session, or with one, that does nothing that has to be written for weeks.
pub fn busy() -> Scenario {
    let types = || patterns(&["t"]);
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            let ask = Ask::Subscribe { agent: agent("r"), types: patterns(&["t"]) };
            let _ = object::ask(scenario, &mut state, ask);
            state
        }),
        choices: vec![
            Ask::Subscribe { agent: agent("r"), types: types() },
            Ask::Heartbeat { agent: agent("r") },
        ],
        turns: Turns { retention: true, silence: true, sight: true, ..Turns::default() },
        budget: Budget {
            connects: 1,
            exits: 1,
            crashes: 1,
            choices: 2,
            reads: 2,
            gap_acks: 1,
            alarms: 4,
            jumps: 6,
            ..Budget::default()
        },
        expected: &[
            Mark::Accepted,
            Mark::ForNobody,
            Mark::Forgotten,
            Mark::Expired,
            Mark::GapTold,
            Mark::Crashed,
        ],
        ..Scenario::new(
            "busy",
            "who did anything within the retention is addressed, and is told its gap for long after",
            vec![Mail::published("1")],
            vec![Process::new("r", "1", 1, 1_000)],
        )
    }
}

/// Mail for a name that never connected, read and acked over requests, and expired.
pub fn strangers() -> Scenario {
    Scenario {
        turns: Turns {
            dedup: true,
            retention: true,
            round: true,
            silence: true,
            ..Turns::default()
        },
        budget: Budget {
            connects: 1,
            lone_acks: 1,
            reads: 1,
            steps: 1,
            alarms: 3,
            jumps: UNLIMITED,
            ..Budget::default()
        },
        liveness: true,
        expected: &[Mark::Settled, Mark::Expired, Mark::Pushed, Mark::Drained],
        ..Scenario::new(
            "strangers",
            "mail for names that never connected is kept, in order, and has no gap",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000)],
        )
    }
}

/// Subscriptions that change before, between and after what they match.
pub fn subscriptions() -> Scenario {
    let mails = vec![
        Mail::published("1").kind("t.x"),
        Mail::published("2").kind("t").from("r"),
        Mail::published("3").kind("t.x").from("r").to("r"),
        Mail::published("4").kind("t.x"),
    ];
    let types = || patterns(&["t.*"]);
    Scenario {
        choices: vec![
            Ask::Subscribe { agent: agent("r"), types: types() },
            Ask::Unsubscribe { agent: agent("r"), types: types() },
            Ask::Subscribe { agent: agent("q"), types: patterns(&["t"]) },
        ],
        budget: Budget { connects: 2, choices: 2, ..Budget::default() },
        expected: &[Mark::Accepted, Mark::ForNobody, Mark::Pushed, Mark::Settled],
        ..Scenario::new(
            "subscriptions",
            "who is addressed is fixed at the commit; a connect that names no types changes none",
            mails,
            vec![
                Process::new("q", "1", 2, 1_000).wanting(&["t.*"]),
                Process::new("r", "1", 2, 1_000),
            ],
        )
    }
}

/// A full inbox, before and after some of it is settled.
pub fn overflow() -> Scenario {
    Scenario {
        budget: Budget { up_tos: 2, redrives: 2, reads: 2, retries: 1, ..Budget::default() },
        expected: &[Mark::RefusedByFullInbox, Mark::Redriven, Mark::RedriveRefused, Mark::Settled],
        ..filled(
            "overflow",
            "a full inbox refuses the new message, says so to its sender, and keeps it as a dead letter",
            64,
            to_r(["1", "2"]),
        )
    }
}

/// An inbox in which there is room for an order, and for nothing that everybody hears.
pub fn chatter() -> Scenario {
    Scenario {
        budget: Budget { up_tos: 1, redrives: 1, reads: 1, retries: 1, ..Budget::default() },
        expected: &[Mark::Accepted, Mark::RefusedByFullInbox, Mark::Redriven, Mark::Settled],
        ..filled(
            "chatter",
            "an inbox that published mail has filled takes what is sent to its agent",
            48,
            vec![Mail::published("1"), Mail::published("2").to("r")],
        )
    }
}

/// A full inbox whose oldest message is about to fail for the last time, and weeks then.
pub fn letters() -> Scenario {
    let world = filled(
        "letters",
        "what failed keeps its place until it is redriven, dismissed or a retention from its death is over",
        64,
        to_r(["1"]),
    );
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            object::send_next(scenario, &mut state);
            let _ = client::connect(scenario, &mut state, 0);
            let oldest = state.clients[0].in_hand[0];
            client::fail(scenario, &mut state, 0, &[oldest], limits::FAILURE_FLOORS_MS.len());
            fill(scenario, &mut state);
            state
        }),
        turns: Turns { retention: true, ..Turns::default() },
        budget: Budget {
            nacks: 1,
            dismissals: 1,
            redrives: 1,
            reads: 1,
            alarms: 2,
            jumps: 2,
            ..Budget::default()
        },
        expected: &[
            Mark::DeadLettered,
            Mark::RefusedByFullInbox,
            Mark::Redriven,
            Mark::Dismissed,
            Mark::Expired,
            Mark::Collected,
        ],
        ..world
    }
}

/// An inbox that holds so many MiB when the world begins, and its agent is there.
fn filled(name: &'static str, purpose: &'static str, mib: usize, then: Vec<Mail>) -> Scenario {
    let fillers = (0..mib).map(|number| {
        Mail::published(&format!("f{number}")).to("r").sized(limits::MESSAGE_MAX_BYTES)
    });
    let r = Process::new("r", "1", 1, limits::WINDOW_MAX_BYTES);
    Scenario {
        prelude: Some(|scenario| {
            let mut state = full(scenario);
            let _ = client::connect(scenario, &mut state, 0);
            state
        }),
        acks: false,
        ..Scenario::new(name, purpose, fillers.chain(then).collect(), vec![r])
    }
}

/// Storage that goes back to an earlier state, and an operator who says so.
pub fn restored() -> Scenario {
    Scenario {
        exact: true,
        back_ms: 2 * STEP_MS,
        budget: Budget {
            connects: 2,
            exits: 1,
            restores: 1,
            reads: 1,
            steps: 1,
            back_steps: 1,
            ..Budget::default()
        },
        expected: &[Mark::Restored, Mark::Recovered, Mark::Pushed, Mark::Settled],
        ..Scenario::new(
            "restored",
            "no number is used twice over a restore, and nobody's cursor passes over new mail",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000)],
        )
    }
}

/// The same under a host that was days ahead when the largest ordinal was given.
pub fn recovered_ahead() -> Scenario {
    Scenario {
        exact: true,
        recovers_ahead_ms: 2 * limits::RETENTION_MS,
        budget: Budget { connects: 2, restores: 1, reads: 1, steps: 1, ..Budget::default() },
        expected: &[Mark::Restored, Mark::Recovered, Mark::Pushed, Mark::Settled],
        ..Scenario::new(
            "recovered ahead",
            "a recovery expires nothing, however large the ordinal that it names",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000)],
        )
    }
}

/// The same with an operator who does not.
pub fn ahead() -> Scenario {
    Scenario {
        exact: true,
        recovers: false,
        budget: Budget { connects: 2, restores: 1, reads: 3, steps: 1, ..Budget::default() },
        expected: &[Mark::Restored, Mark::Ahead],
        ..Scenario::new(
            "ahead",
            "who knows more than the storage is told so, and forgets it",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000)],
        )
    }
}

/// A host whose clock steps back, by less and by more than it takes to be re-anchored.
pub fn clocks() -> Scenario {
    let what = Settled::Seqs(Vec::new());
    Scenario {
        exact: true,
        back_ms: limits::DEDUP_MS,
        delays: vec![delay(STEP_MS)],
        turns: Turns { due: true, dedup: true, ..Turns::default() },
        // Something that is answered and writes nothing.
        choices: vec![Ask::Ack { agent: agent("r"), what }],
        budget: Budget {
            connects: 2,
            nacks: 1,
            choices: 1,
            back_steps: 1,
            alarms: 2,
            jumps: 3,
            ..Budget::default()
        },
        liveness: true,
        expected: &[Mark::Reanchored, Mark::FrozenClock, Mark::Collected, Mark::NackedForLater],
        ..Scenario::new(
            "clocks",
            "a step back of the clock uses no number twice and holds nothing up for long",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000)],
        )
    }
}
