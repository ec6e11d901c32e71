//! Worlds about who is pushed to: replacements, superseded sessions, and agents that are forgotten.

use super::to_r;
use crate::harness::UNLIMITED;
use crate::mailbox::client;
use crate::mailbox::marks::Mark;
use crate::mailbox::scenario::{Budget, Mail, Process, Scenario, Turns};
use crate::mailbox::state::State;

/// Sessions of both kinds replace one another.
pub fn replaced() -> Scenario {
    Scenario {
        budget: Budget { connects: 4, exits: 2, nacks: 1, workings: 1, ..Budget::default() },
        liveness: true,
        expected: &[
            Mark::Replaced,
            Mark::TakenOver,
            Mark::BecameSuperseded,
            Mark::Reopened,
            Mark::LateClose,
            Mark::Disconnected,
            Mark::DeliveredInTheEnd,
        ],
        ..Scenario::new(
            "replaced",
            "a replaced session is closed or becomes superseded, by what it negotiated, and its close is late",
            to_r(["1"]),
            vec![
                Process::new("r", "1", 2, 1_000),
                Process::original("r"),
                Process::new("r", "2", 2, 1_000),
            ],
        )
    }
}

/// Three processes of one agent in the original's protocol, without mail.
pub fn superseded() -> Scenario {
    Scenario {
        budget: Budget { connects: UNLIMITED, exits: 2, crashes: 1, ..Budget::default() },
        liveness: true,
        expected: &[Mark::BecameSuperseded, Mark::Reopened, Mark::LateClose, Mark::Disconnected],
        ..Scenario::new(
            "superseded",
            "superseded sessions are left alone until the live one ends; nobody evicts anybody for ever",
            to_r(["1"]),
            vec![Process::original("r"), Process::original("r"), Process::original("r")],
        )
    }
}

/// Two processes in the original's protocol and one that negotiated, with mail.
pub fn superseded_and_mail() -> Scenario {
    Scenario {
        turns: Turns { presumed: true, ..Turns::default() },
        budget: Budget {
            connects: 3,
            exits: 1,
            crashes: 1,
            nacks: 1,
            alarms: 1,
            jumps: 1,
            ..Budget::default()
        },
        acks: false,
        liveness: true,
        expected: &[
            Mark::BecameSuperseded,
            Mark::Reopened,
            Mark::Presumed,
            Mark::PushedAgain,
            Mark::DeliveredInTheEnd,
        ],
        ..Scenario::new(
            "superseded and mail",
            "mail goes to the live session alone, and comes back when that ends unsettled",
            vec![Mail::published("1").to("r"), Mail::published("2").to("r").ack_required()],
            vec![Process::original("r"), Process::original("r"), Process::new("r", "1", 2, 1_000)],
        )
    }
}

/// As many superseded sessions as there may be, and one more.
pub fn crowded() -> Scenario {
    Scenario {
        prelude: Some(|scenario| {
            let mut state = State::initial(scenario);
            for process in 0..9 {
                let _ = client::connect(scenario, &mut state, process);
            }
            state
        }),
        budget: Budget { connects: 2, exits: 2, ..Budget::default() },
        expected: &[Mark::Crowded, Mark::Reopened, Mark::LateClose],
        ..Scenario::new(
            "crowded",
            "of too many superseded sessions the oldest is closed",
            to_r(["1"]),
            vec![Process::original("r"); 10],
        )
    }
}

/// An agent is forgotten while sockets of it are open or about to close.
pub fn forgotten() -> Scenario {
    Scenario {
        exact: true,
        budget: Budget {
            connects: 3,
            exits: 1,
            forgets: 2,
            copies: 1,
            steps: 1,
            ..Budget::default()
        },
        expected: &[Mark::Forgotten, Mark::ForgettingCopied, Mark::LateClose, Mark::Settled],
        ..Scenario::new(
            "forgotten",
            "who was forgotten comes back as nobody; what closes or is copied late is not about him",
            to_r(["1", "2"]),
            vec![Process::new("r", "1", 2, 1_000), Process::original("r")],
        )
    }
}

/// Ephemeral messages among superseded, live and absent sessions, and to the sender.
pub fn ephemeral() -> Scenario {
    let mails = vec![
        Mail::published("1").ephemeral(),
        Mail::published("2"),
        Mail::published("3").to("r").ephemeral(),
        Mail::published("1").ephemeral(),
    ];
    Scenario {
        budget: Budget { connects: 4, exits: 1, crashes: 1, retries: 1, ..Budget::default() },
        expected: &[Mark::EphemeralSent, Mark::BecameSuperseded, Mark::Accepted, Mark::Duplicate],
        ..Scenario::new(
            "ephemeral",
            "ephemeral messages reach whoever is live, and leave nothing",
            mails,
            vec![Process::original("r"), Process::original("r"), Process::new("s", "1", 1, 1_000)],
        )
    }
}
