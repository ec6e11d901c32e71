//! Worlds about sessions that negotiated nothing, and never acknowledge.

use mailbus_spec::limits;
use mailbus_spec::mailbox::Delay;

use super::to_r;
use crate::harness::UNLIMITED;
use crate::mailbox::marks::Mark;
use crate::mailbox::object;
use crate::mailbox::scenario::{Budget, Mail, Process, Scenario, Turns};
use crate::mailbox::state::State;

/// Silence settles what was pushed long enough ago, what asks for an ack excepted.
pub fn silent() -> Scenario {
    Scenario {
        acks: false,
        turns: Turns { presumed: true, ..Turns::default() },
        budget: Budget {
            connects: 2,
            exits: 1,
            crashes: 1,
            id_acks: 1,
            reads: 2,
            steps: 1,
            alarms: UNLIMITED,
            jumps: 3,
            ..Budget::default()
        },
        liveness: true,
        expected: &[Mark::Presumed, Mark::Settled, Mark::PushedAgain, Mark::DeliveredInTheEnd],
        ..Scenario::new(
            "silent",
            "silence counts from the push, takes effect where it is recorded, and spares what asks for an ack",
            vec![
                Mail::published("1").to("r").nameless(),
                Mail::published("2").to("r").ack_required(),
            ],
            vec![Process::original("r")],
        )
    }
}

/// A silent session nacks, over a request of its own, and is pushed again.
pub fn silent_again() -> Scenario {
    Scenario {
        acks: false,
        delays: vec![Delay::NONE],
        turns: Turns { presumed: true, ..Turns::default() },
        budget: Budget {
            connects: 2,
            exits: 1,
            nacks: 2,
            steps: 2,
            alarms: UNLIMITED,
            jumps: 3,
            ..Budget::default()
        },
        expected: &[Mark::Presumed, Mark::Nacked, Mark::PushedAgain],
        ..Scenario::new(
            "silent again",
            "what a silent session is pushed again is not presumed in the same breath",
            to_r(["1", "2"]),
            vec![Process::original("r")],
        )
    }
}

/// The inbox of a silent session is full of what it was pushed.
pub fn silent_and_full() -> Scenario {
    let fillers = (0..64).map(|number| {
        Mail::published(&format!("f{number}")).to("r").sized(limits::MESSAGE_MAX_BYTES)
    });
    let mails = fillers.chain(to_r(["1", "2"])).collect();
    Scenario {
        prelude: Some(full),
        acks: false,
        budget: Budget { connects: 2, exits: 1, steps: 1, alarms: 1, ..Budget::default() },
        expected: &[Mark::RefusedByFullInbox, Mark::PresumedForRoom],
        ..Scenario::new(
            "silent and full",
            "what a silent session was pushed makes room, the oldest first, before anything is refused",
            mails,
            vec![Process::original("r")],
        )
    }
}

/// The inbox of `r` holds as many bytes as it may.
pub fn full(scenario: &Scenario) -> State {
    let mut state = State::initial(scenario);
    fill(scenario, &mut state);
    state
}

/// Sends what is left of the messages that fill the inbox.
pub fn fill(scenario: &Scenario, state: &mut State) {
    let unsent = scenario.mails.iter().skip(usize::from(state.sent));
    let fillers =
        unsent.take_while(|mail| mail.message.bytes() as usize == limits::MESSAGE_MAX_BYTES);
    for _ in fillers {
        object::send_next(scenario, state);
    }
}
