//! Drawing the mail of a plan that has its agents.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::plan::mail::{
    EVERYTHING, HandlerScript, KINDS, MailAction, MailPlan, NOBODY, PREFIXED, Transport,
};
use crate::plan::{Action, Fault, FaultKind, Operation, Plan, Profile};

/// Mail is drawn from a stream of its own, so that leases are drawn as without it.
const STREAM: u64 = 0x6d61_696c;

/// Senders that want a known recipient are drawn from a stream of their own, so that all else is drawn as
/// without them.
const WISHES: u64 = 0x6d75_7374;

/// 7 days and 10 minutes: steps of the object's clock that end retentions and presumptions.
const LONG_STEPS_MS: [i64; 3] = [605_000_000, 610_000, 610_000];

impl Plan {
    /// Adds mail to a plan: who gets it, what is sent, and what else is done.
    pub(super) fn with_mail(mut self) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ (STREAM << 32));
        let random = &mut random;
        for agent in &mut self.agents {
            agent.mail = Some(mail_plan(random));
        }
        let gap_ms = random.random_range(1_500..=7_000_u64);
        for agent in self.agents.clone() {
            let mut at_ms = random.random_range(500..=gap_ms);
            while at_ms < self.heal_at_ms {
                let action = Action::Mail(self.mail_action(random));
                self.operations.push(Operation { at_ms, agent: agent.agent, action });
                at_ms += random.random_range(gap_ms / 4..=gap_ms * 2);
            }
        }
        self.operations.sort_by_key(|operation| operation.at_ms);
        self.wishes();
        self.long_steps(random);
        self.hasty_operators(random);
        self
    }

    /// Some of those who send to one agent want it to be known.
    fn wishes(&mut self) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ (WISHES << 32));
        for operation in &mut self.operations {
            if let Action::Mail(MailAction::Send { to: Some(_), must_know, .. }) =
                &mut operation.action
            {
                *must_know = random.random_bool(0.3);
            }
        }
    }

    /// Operators who open a restored workspace soon, and say nothing to it: who connects then knows more
    /// than it does.
    fn hasty_operators(&mut self, random: &mut ChaCha8Rng) {
        for fault in &mut self.faults {
            if let FaultKind::Restore { closed_ms, recover, .. } = &mut fault.kind
                && random.random_bool(0.6)
            {
                (*closed_ms, *recover) = ((*closed_ms).min(300), false);
            }
        }
    }

    /// In plans whose clocks are outside the bound anyway, sometimes a week passes, or ten minutes.
    fn long_steps(&mut self, random: &mut ChaCha8Rng) {
        let outside = self.clock_class() == crate::plan::ClockClass::Outside;
        if !outside || self.profile != Profile::Hostile || random.random_bool(0.3) {
            return;
        }
        for _ in 0..random.random_range(1..=2) {
            let by_ms = LONG_STEPS_MS[random.random_range(0..LONG_STEPS_MS.len())];
            let at_ms = random.random_range(20_000..self.heal_at_ms - 5_000);
            self.faults.push(Fault { at_ms, kind: FaultKind::ObjectStep { by_ms } });
        }
        self.faults.sort_by_key(|fault| fault.at_ms);
    }

    fn mail_action(&self, random: &mut ChaCha8Rng) -> MailAction {
        match random.random_range(0..100) {
            0..66 => self.sending(random),
            66..71 => MailAction::Subscribe { pattern: random.random_range(0..=EVERYTHING) },
            71..76 => MailAction::Unsubscribe { pattern: random.random_range(0..=EVERYTHING) },
            76..83 => MailAction::Poll { ack: random.random_bool(0.6) },
            83..88 => MailAction::Redrive,
            88..91 => MailAction::AcknowledgeGap,
            91..96 => MailAction::DuplicateProcess { for_ms: random.random_range(500..=20_000) },
            96..98 => MailAction::Contradict { pause_ms: random.random_range(0..=3_000) },
            _ => MailAction::Forget { agent: self.some_agent(random) },
        }
    }

    fn some_agent(&self, random: &mut ChaCha8Rng) -> u8 {
        self.agents[random.random_range(0..self.agents.len())].agent
    }

    fn sending(&self, random: &mut ChaCha8Rng) -> MailAction {
        let to = match random.random_range(0..10) {
            0..5 => None,
            5..9 => Some(self.some_agent(random)),
            _ => Some(NOBODY + random.random_range(0..2)),
        };
        let copies = match random.random_range(0..20) {
            0 => random.random_range(20..=60),
            1..5 => random.random_range(2..=8),
            _ => 1,
        };
        let bytes = match random.random_range(0..6) {
            0 => random.random_range(100..=3_000),
            _ => random.random_range(0..=60),
        };
        // Many messages that each take long would outlast any bound of liveness.
        let longest_ms = if copies == 1 { 15_000 } else { 1_000 };
        let script = match random.random_range(0..20) {
            _ if copies > 8 => HandlerScript::Done,
            0..12 => HandlerScript::Done,
            12..15 => HandlerScript::Slow { for_ms: random.random_range(50..=longest_ms) },
            15..18 => HandlerScript::Fail { times: random.random_range(1..=7) },
            _ if copies > 1 => HandlerScript::Done,
            // The first death is not announced, and the fifth that is kills the message.
            _ => HandlerScript::Crash { times: [1, 2, 2, 7][random.random_range(0..4_usize)] },
        };
        MailAction::Send {
            to,
            kind: random.random_range(0..KINDS),
            copies,
            bytes,
            ack_required: random.random_bool(0.2),
            must_know: false,
            ephemeral: random.random_bool(0.05),
            script,
        }
    }
}

fn mail_plan(random: &mut ChaCha8Rng) -> MailPlan {
    let by = match random.random_range(0..10) {
        0..6 => bus(random),
        6..8 => Transport::Original,
        8 => Transport::Poll,
        _ => Transport::Bus { messages: 256, bytes: 4 << 20, handlers: 4 },
    };
    let patterns = random.random_bool(0.6).then(|| {
        let one = random.random_range(0..KINDS);
        match random.random_range(0..6) {
            0 => vec![one],
            1 => vec![one, (one + 1) % KINDS],
            2 | 3 => vec![PREFIXED],
            4 => vec![one, PREFIXED],
            _ => vec![EVERYTHING],
        }
    });
    MailPlan { by, patterns }
}

/// Windows are mostly narrow, so that they count.
fn bus(random: &mut ChaCha8Rng) -> Transport {
    Transport::Bus {
        messages: random.random_range(1..=12),
        bytes: random.random_range(1..=6_000),
        handlers: [1, 1, 1, 3][random.random_range(0..4_usize)],
    }
}
