//! What bytes mean as a history: a few bytes an event, so that a change of one changes one event.

use arbitrary::Arbitrary;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, Connection, MailboxMachine};

use super::ask::Place;

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
const YEAR: i64 = 31_557_600_000;
/// How far the clock often moves beyond its usual few seconds: to what is remembered and presumed, and
/// what is seen of other hosts.
const LEAPS_MS: [i64; 16] = [
    MINUTE,
    MINUTE,
    MINUTE,
    2 * MINUTE - 1,
    2 * MINUTE,
    2 * MINUTE,
    3 * MINUTE,
    10 * MINUTE - 1,
    10 * MINUTE,
    10 * MINUTE,
    12 * MINUTE,
    60 * MINUTE,
    -1,
    -1_000,
    -MINUTE,
    -MINUTE - 1,
];
/// How far it seldom moves: to what expires, and where no clock can be.
const BOUNDS_MS: [i64; 12] = [
    DAY,
    6 * DAY,
    7 * DAY - 1,
    7 * DAY,
    7 * DAY,
    8 * DAY,
    -2 * MINUTE,
    -DAY,
    YEAR,
    -YEAR,
    200 * YEAR,
    -200 * YEAR,
];

/// One event, possible in every state. Names are drawn from so few that everything meets everything.
#[derive(Arbitrary, Debug)]
pub(super) struct Happening {
    clock: u8,
    fate: u8,
    pub(super) what: u8,
    pub(super) who: u8,
    pub(super) details: [u8; 3],
}

/// What happens to the object before an event, or in its midst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    GoesOn,
    Evicted,
    Crashed,
    /// The statement of this number fails.
    StatementFails(u64),
    /// Its state is noted.
    Kept,
    /// It is put back into the state that was noted.
    Restored,
}

impl Happening {
    /// What the host's clock says, which said `host` before.
    pub(super) fn clock(&self, host: u64) -> u64 {
        let by_ms = match self.clock {
            n @ 0..16 => LEAPS_MS[usize::from(n)],
            16..20 => BOUNDS_MS[usize::from(self.details[1]) % BOUNDS_MS.len()],
            n @ 20..64 => i64::from(n % 8) * 1_000,
            n @ 64..128 => i64::from(n % 4),
            _ => 0,
        };
        host.saturating_add_signed(by_ms)
    }

    pub(super) fn fate(&self) -> Fate {
        match self.fate {
            n @ 0..24 => Fate::StatementFails(u64::from(n % 12) + 1),
            24..56 => Fate::Evicted,
            56..60 => Fate::Crashed,
            60..63 => Fate::Kept,
            63 => Fate::Restored,
            _ => Fate::GoesOn,
        }
    }

    /// How often the event comes: a burst of messages fills bites, windows and inboxes.
    pub(super) fn repetitions(&self) -> usize {
        match (self.what, self.details[2]) {
            (255, 255) => 300,
            (255, _) => 20,
            (254, 240..) => 70,
            _ => 1,
        }
    }

    /// The event, of so many times that it has come already.
    pub(super) fn event(
        &self,
        model: &MailboxMachine,
        connected: &[Connection],
        number: usize,
    ) -> Event<Command> {
        let place = Place { model, connected, happening: self };
        match self.what {
            0..20 => Event::Alarm,
            254.. => Event::Command(Command::alone(place.burst(number))),
            _ => Event::Command(place.command()),
        }
    }
}
