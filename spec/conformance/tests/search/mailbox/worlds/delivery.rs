//! Worlds about what is pushed, in which order, and how often it may fail.

use mailbus_spec::mailbox::{Ask, Delay};
use mailbus_spec::{Ordinal, limits};

use super::to_r;
use crate::harness::UNLIMITED;
use crate::mailbox::client;
use crate::mailbox::marks::Mark;
use crate::mailbox::object;
use crate::mailbox::scenario::{Budget, Mail, Process, STEP_MS, Scenario, Turns, agent, delay};
use crate::mailbox::state::State;

fn windows(name: &'static str, window: u64) -> Scenario {
    Scenario {
        budget: Budget {
            connects: 3,
            exits: 2,
            crashes: 1,
            nacks: if window == 3 { 1 } else { 2 },
            lone_acks: u8::from(window == 1),
            ..Budget::default()
        },
        expected: &[
            Mark::Connected,
            Mark::Resumed,
            Mark::Pushed,
            Mark::PushedAgain,
            Mark::Settled,
            Mark::Nacked,
            Mark::Replaced,
            Mark::TakenOver,
            Mark::LateClose,
            Mark::Crashed,
        ],
        ..Scenario::new(
            name,
            "pushes follow the order of acceptance and keep the window, whatever is acked or lost",
            to_r(["1", "2", "3"]),
            vec![Process::new("r", "1", window, 1_000), Process::new("r", "2", window, 1_000)],
        )
    }
}

pub fn window_one() -> Scenario {
    windows("window one", 1)
}

pub fn window_two() -> Scenario {
    windows("window two", 2)
}

pub fn window_three() -> Scenario {
    windows("window three", 3)
}

/// A window of bytes: 3 fits with any one of the others, 4 does not even fit alone.
pub fn byte_window() -> Scenario {
    let sizes = [("1", 60), ("2", 90), ("3", 10), ("4", 120)];
    Scenario {
        delays: vec![Delay::NONE, delay(STEP_MS)],
        turns: Turns { due: true, ..Turns::default() },
        budget: Budget {
            connects: 2,
            exits: 1,
            nacks: 2,
            jumps: 2,
            alarms: 1,
            ..Budget::default()
        },
        liveness: true,
        expected: &[Mark::Pushed, Mark::PushedAgain, Mark::DeliveredInTheEnd],
        ..Scenario::new(
            "byte window",
            "a message that does not fit waits, the younger with it, and goes alone if it must",
            sizes.map(|(id, bytes)| Mail::published(id).to("r").sized(bytes)).to_vec(),
            vec![Process::new("r", "1", 3, 100)],
        )
    }
}

/// More bytes than one event pushes, for two agents.
pub fn push_budget() -> Scenario {
    let sizes = [("1", "r"), ("2", "q"), ("3", "r"), ("4", "r"), ("5", "r"), ("6", "r")];
    let mails =
        sizes.map(|(id, to)| Mail::published(id).to(to).sized(limits::MESSAGE_MAX_BYTES - 8));
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            for _ in &scenario.mails {
                object::send_next(scenario, &mut state);
            }
            state
        }),
        acks: false,
        liveness: true,
        budget: Budget { connects: 3, exits: 1, alarms: 2, lone_acks: 1, ..Budget::default() },
        expected: &[Mark::LeftToTheAlarm, Mark::DeliveredInTheEnd],
        ..Scenario::new(
            "push budget",
            "what one event does not push is left to the alarm or to any earlier event",
            mails.to_vec(),
            vec![
                Process::new("q", "1", 10, limits::WINDOW_MAX_BYTES),
                Process::new("r", "1", 10, limits::WINDOW_MAX_BYTES),
            ],
        )
    }
}

/// A slow network between `up_to`, nacks and pushes.
pub fn up_to() -> Scenario {
    Scenario {
        slow: true,
        budget: Budget { connects: 2, exits: 1, nacks: 1, up_tos: 2, ..Budget::default() },
        expected: &[Mark::SettledUpTo, Mark::PushedAgain, Mark::Nacked, Mark::StaleFrame],
        ..Scenario::new(
            "up to",
            "`up_to` settles first pushes of its session alone: what it was sent again may not be there yet",
            to_r(["1", "2", "3"]),
            vec![Process::new("r", "1", 3, 1_000)],
        )
    }
}

/// Frames of all kinds that arrive after their session was replaced or ended.
pub fn late_frames() -> Scenario {
    Scenario {
        slow: true,
        budget: Budget { connects: 3, exits: 1, nacks: 1, workings: 1, ..Budget::default() },
        expected: &[Mark::StaleFrame, Mark::Announced, Mark::LateClose],
        ..Scenario::new(
            "late frames",
            "frames of an older epoch have no effect",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000), Process::new("r", "2", 1, 1_000)],
        )
    }
}

/// Nacks with and without delay, and the alarm at any moment.
pub fn delays() -> Scenario {
    Scenario {
        delays: vec![Delay::NONE, delay(STEP_MS), delay(3 * STEP_MS)],
        turns: Turns { due: true, ..Turns::default() },
        liveness: true,
        budget: Budget {
            connects: 2,
            exits: 1,
            nacks: 2,
            alarms: UNLIMITED,
            jumps: UNLIMITED,
            ..Budget::default()
        },
        expected: &[Mark::Nacked, Mark::NackedForLater, Mark::PushedAgain, Mark::DeliveredInTheEnd],
        ..Scenario::new(
            "delays",
            "a nacked message frees its slot and comes back when it is due, the lowest first",
            to_r(["1", "2", "3"]),
            vec![Process::new("r", "1", 2, 1_000)],
        )
    }
}

/// Window 1, four messages that wait for an hour, one that is given back, and one after it.
pub fn many_delayed() -> Scenario {
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            let _ = client::connect(scenario, &mut state, 0);
            for _ in 0..4 {
                object::send_next(scenario, &mut state);
                let seq = state.clients[0].in_hand[0];
                let nack = client::nack(scenario, &state, 0, seq, 1);
                client::send(scenario, &mut state, 0, nack);
            }
            state
        }),
        delays: vec![delay(STEP_MS), delay(3_600 * STEP_MS)],
        turns: Turns { due: true, ..Turns::default() },
        budget: Budget { nacks: 2, alarms: UNLIMITED, jumps: 3, ..Budget::default() },
        expected: &[Mark::NackedForLater, Mark::Pushed, Mark::PushedAgain, Mark::Settled],
        ..Scenario::new(
            "many delayed",
            "what is given back waits, however many do, and others are pushed meanwhile",
            to_r(["1", "2", "3", "4", "5", "6"]),
            vec![Process::new("r", "1", 1, 1_000)],
        )
    }
}

/// Both messages are sent, and have failed often.
fn failed_thrice(scenario: &Scenario) -> State {
    let mut state = State::initial(scenario);
    for _ in &scenario.mails {
        object::send_next(scenario, &mut state);
    }
    let _ = client::connect(scenario, &mut state, 0);
    let in_hand: Vec<Ordinal> = state.clients[0].in_hand.clone();
    client::fail(scenario, &mut state, 0, &in_hand, limits::FAILURE_FLOORS_MS.len() - 1);
    client::exit(&mut state, 0);
    let epoch = state.clients[0].closing[0];
    client::close(scenario, &mut state, 0, epoch);
    state
}

/// Failures, replacements and lost sessions close to the end of a message's patience.
pub fn failures() -> Scenario {
    Scenario {
        prelude: Some(failed_thrice),
        budget: Budget {
            connects: 4,
            exits: 2,
            nacks: 2,
            workings: 2,
            redrives: 1,
            alarms: 1,
            jumps: 1,
            ..Budget::default()
        },
        turns: Turns { due: true, ..Turns::default() },
        expected: &[
            Mark::Announced,
            Mark::FailedWhileWorking,
            Mark::FailedByReplacement,
            Mark::DeadLettered,
            Mark::Redriven,
            Mark::GapPushed,
            Mark::GapTold,
            Mark::Replaced,
            Mark::TakenOver,
        ],
        ..Scenario::new(
            "failures",
            "a nack, or the end or replacement of a session that had announced it, is a failure of a message, and nothing else",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000), Process::new("r", "2", 2, 1_000)],
        )
    }
}

/// Nacks that the network delivers once more, by requests of their own, in this session or the next.
pub fn copies() -> Scenario {
    Scenario {
        delays: vec![Delay::NONE],
        budget: Budget { connects: 3, exits: 1, nacks: 3, copies: 2, ..Budget::default() },
        expected: &[Mark::Nacked, Mark::NackCopied, Mark::PushedAgain, Mark::Replaced],
        ..Scenario::new(
            "copies",
            "a nack gives back the push that it answers, and a copy of it nothing",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 1, 1_000), Process::new("r", "2", 2, 1_000)],
        )
    }
}

/// One message for two agents: what one does, the other does not see.
pub fn two_agents() -> Scenario {
    let mails = ["1", "2"].map(Mail::published);
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            for name in ["q", "r"] {
                let types = crate::mailbox::scenario::patterns(&["*"]);
                let ask = Ask::Subscribe { agent: agent(name), types };
                let _ = object::ask(scenario, &mut state, ask);
            }
            state
        }),
        budget: Budget {
            connects: 3,
            exits: 1,
            crashes: 1,
            nacks: 1,
            lone_acks: 1,
            ..Budget::default()
        },
        expected: &[Mark::Pushed, Mark::Settled, Mark::SettledNothing],
        ..Scenario::new(
            "two agents",
            "what one recipient settles, nacks or loses is nothing to the other",
            mails.to_vec(),
            vec![Process::new("q", "1", 1, 1_000), Process::new("r", "1", 2, 1_000)],
        )
    }
}
