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

/// Load that a happening brings at once: bursts of messages fill push budgets, windows and inboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    One,
    Some,
    /// More than a push budget and the usual window hold.
    Many,
    /// A message about as long as it may be.
    Long,
    /// As many of those as fill an inbox.
    Longs,
}

impl Load {
    /// Number of times that the event comes.
    pub(super) fn messages(self) -> usize {
        match self {
            Self::One | Self::Long => 1,
            Self::Some => 20,
            Self::Many => 270,
            Self::Longs => 70,
        }
    }

    /// Bytes of a message that is to be long: as many as may be, or more than small windows have.
    pub(super) fn filling_bytes(self) -> usize {
        if self.is_long() { 1_000_000 } else { 1_000 }
    }

    /// True if a megabyte comes, or many.
    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::Longs)
    }
}

/// Five events.
const LARGE: usize = 5 * size_of::<Happening>();

/// Loads that may still come in one history. A large one takes ten to a hundred times as long as all the rest of
/// a history, and the second one shows little that the first did not.
pub(super) struct Budget {
    some: usize,
    many: usize,
    long: usize,
    longs: usize,
}

impl Budget {
    /// Large loads come in one length of [`LARGE`] alone: how often is not the fuzzer's to choose, which
    /// finds them new and interesting.
    pub(super) fn of(bytes: usize) -> Self {
        let large = usize::from(bytes.is_multiple_of(LARGE));
        Self { some: 4, many: large, long: 2 * large, longs: large }
    }

    /// Load of the happening: as much as it means to bring, or the next smaller one that is left.
    pub(super) fn take(&mut self, happening: &Happening) -> Load {
        let mut left = |load| match load {
            Load::One => true,
            Load::Some => take(&mut self.some),
            Load::Many => take(&mut self.many),
            Load::Long => take(&mut self.long),
            Load::Longs => take(&mut self.longs),
        };
        let smaller = match happening.load() {
            Load::Many => [Load::Many, Load::Some],
            Load::Longs => [Load::Longs, Load::Long],
            load => [load, Load::One],
        };
        smaller.into_iter().find(|load| left(*load)).unwrap_or(Load::One)
    }
}

fn take(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

/// The third detail of a message that is to be long.
pub(super) const LONG_ALONE: u8 = 27;

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

    /// Load that it means to bring.
    fn load(&self) -> Load {
        match (self.what, self.details[2]) {
            (255, 255) => Load::Many,
            (255, _) => Load::Some,
            (254, 240..) => Load::Longs,
            (254, _) | (20..88, LONG_ALONE) => Load::Long,
            _ => Load::One,
        }
    }

    /// The event, of a load in which it has come so many times already.
    pub(super) fn event(
        &self,
        model: &MailboxMachine,
        connected: &[Connection],
        (load, number): (Load, usize),
    ) -> Event<Command> {
        let place = Place { model, connected, happening: self, load };
        match self.what {
            0..20 => Event::Alarm,
            254.. => Event::Command(Command::alone(place.burst(number))),
            _ => Event::Command(place.command()),
        }
    }
}
