//! Whether an object may begin anew.

use mailbus_spec::{Clock, HostTime, Ordinal};

/// For how long nothing may have been written: by so much a clock may be set back.
const PAST_MS: u64 = 86_400_000;

/// True if all of an object's numbers are a day old or older. Then one that begins anew is told later
/// times and uses larger ordinals, also on a host whose clock is set back by less than that.
pub(crate) fn is_past(now: HostTime, clock: &Clock, last: Ordinal, generation: u64) -> bool {
    let newest = clock.floor.ms().max(last.anchor_ms()).max(generation);
    clock.offset == 0 && newest.saturating_add(PAST_MS) <= now.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailbus_spec::Timestamp;

    #[test]
    fn each_number_has_to_be_a_day_old() {
        const NOON: u64 = 1_800_000_000_000;
        let tomorrow = HostTime(NOON + PAST_MS);
        let floor = |ms| Timestamp::from_ms(ms).unwrap();
        let clock = Clock { floor: floor(NOON), offset: 0 };
        let last = Ordinal::new(NOON << 10).unwrap();
        assert!(is_past(tomorrow, &clock, last, NOON));
        assert!(!is_past(HostTime(tomorrow.0 - 1), &clock, last, NOON));
        assert!(!is_past(tomorrow, &Clock { floor: floor(NOON + 1), offset: 0 }, last, NOON));
        assert!(!is_past(tomorrow, &Clock { offset: 5, ..clock }, last, NOON));
        assert!(!is_past(tomorrow, &clock, Ordinal::new((NOON + 1) << 10).unwrap(), NOON));
        assert!(!is_past(tomorrow, &clock, last, NOON + 1), "an operator raised it");
    }
}
