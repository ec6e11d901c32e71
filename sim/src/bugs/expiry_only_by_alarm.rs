//! The object ends leases when its alarm rings, and only then: what the alarm was late for, or lost,
//! goes on.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine, Timestamp};

use crate::bugs::Bug;
use crate::invariants::no_stale_effect;
use crate::subject::{Model, ObjectVariant, Subject, sound};

pub(super) const BUG: Bug = Bug {
    name: "expiry_only_by_alarm",
    breaks: no_stale_effect::NAME,
    subject: Subject {
        object: ObjectVariant::Model(|| Box::new(ExpiryOnlyByAlarm)),
        client: sound,
    },
    profile: None,
};

struct ExpiryOnlyByAlarm;

impl Model for ExpiryOnlyByAlarm {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        if matches!(event, Event::Alarm) {
            return state.handle(host, event);
        }
        // In a command's eyes what has lapsed has a little time left.
        let now = state.clock.observe(host).map_or(state.clock.floor, |seen| seen.now);
        let mut lapsed: Vec<(Ordinal, Timestamp)> = Vec::new();
        for (token, lease) in &mut state.leases {
            if lease.expires_at <= now {
                lapsed.push((*token, std::mem::replace(&mut lease.expires_at, now.plus_ms(1))));
            }
        }
        let step = state.handle(host, event);
        for (token, expires_at) in lapsed {
            if let Some(lease) = state.leases.get_mut(&token)
                && lease.expires_at == now.plus_ms(1)
            {
                lease.expires_at = expires_at;
            }
        }
        step
    }
}
