//! Drawing a plan from a seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::plan::swarm::{self, TrustedClock};
use crate::plan::{
    Action, AgentPlan, ClockPlan, Ending, MachinePlan, Operation, PATHS, Plan, Profile,
};

/// A rate inside the bound, with room for rounding.
const EVEN_PPM: i64 = 990;
/// A rate of a clock that is broken.
const UNEVEN_PPM: i64 = 200_000;

impl Plan {
    /// The plan of a seed; of a profile, or of the mix in which a third each is calm, rough and
    /// hostile.
    #[must_use]
    pub fn from_seed(seed: u64, profile: Option<Profile>) -> Self {
        Self::with_leases_alone(seed, profile).with_mail()
    }

    /// The same without mail.
    #[must_use]
    pub fn with_leases_alone(seed: u64, profile: Option<Profile>) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mixed = [Profile::Rough, Profile::Hostile, Profile::Calm];
        let profile = profile.unwrap_or(mixed[usize::try_from(seed % 3).unwrap_or(0)]);
        let inside = profile != Profile::Hostile || random.random_bool(0.5);
        let heal_at_ms = random.random_range(60..=180) * 1_000;
        let machines = random.random_range(1..=3_u8);
        let trusted: Vec<TrustedClock> =
            (0..machines).map(|_| TrustedClock::draw(&mut random, inside)).collect();
        let agents = random.random_range(4..=8_u8);
        let mut plan = Self {
            seed,
            profile,
            heal_at_ms,
            latency_ms: (random.random_range(1..=5), random.random_range(6..=120)),
            object_clock: clock(&mut random, inside),
            object_monotonic: ClockPlan::default(),
            machines: (0..machines)
                .zip(&trusted)
                .map(|(machine, trusted)| machine_plan(&mut random, machine, *trusted))
                .collect(),
            agents: (0..agents)
                .map(|agent| AgentPlan { agent, machine: agent % machines, mail: None })
                .collect(),
            operations: Vec::new(),
            faults: Vec::new(),
        };
        plan.operations = operations(&mut random, agents, heal_at_ms);
        plan.faults = swarm::faults(&mut random, &plan, &trusted, inside);
        plan.object_monotonic = clock(&mut random, inside);
        plan.perhaps_with_a_lull()
    }
}

fn clock(random: &mut ChaCha8Rng, even: bool) -> ClockPlan {
    let rate = if even { EVEN_PPM } else { UNEVEN_PPM };
    // What is wrong at the edge of a bound is seen at the edge.
    let rate_ppm = match random.random_range(0..4) {
        0 => -rate,
        1 => rate,
        _ => random.random_range(-rate..=rate),
    };
    ClockPlan { offset_ms: random.random_range(-5_000..=5_000), rate_ppm }
}

fn machine_plan(random: &mut ChaCha8Rng, machine: u8, trusted: TrustedClock) -> MachinePlan {
    // Most clocks that nobody has to trust are good all the same, or belief would never last.
    let uneven = trusted == TrustedClock::Neither || random.random_bool(0.2);
    let even = |which: TrustedClock| trusted == which || !uneven;
    let monotonic = clock(random, even(TrustedClock::Monotonic));
    let mut wall = clock(random, even(TrustedClock::Wall));
    if trusted == TrustedClock::Neither {
        // One oscillator drives both: that they agree says nothing.
        wall.rate_ppm = monotonic.rate_ppm;
    }
    MachinePlan { machine, monotonic, wall }
}

fn operations(random: &mut ChaCha8Rng, agents: u8, heal_at_ms: u64) -> Vec<Operation> {
    let mut operations = Vec::new();
    for agent in 0..agents {
        let gap_ms = random.random_range(1_200..=8_000_u64);
        let mut at_ms = random.random_range(0..=gap_ms);
        while at_ms < heal_at_ms {
            operations.push(Operation { at_ms, agent, action: action(random) });
            at_ms += random.random_range(gap_ms / 4..=gap_ms * 2);
        }
    }
    operations.sort_by_key(|operation| operation.at_ms);
    operations
}

fn action(random: &mut ChaCha8Rng) -> Action {
    let path = random.random_range(0..PATHS);
    match random.random_range(0..100) {
        0..72 => hold(random, path),
        72..78 => Action::Status { path },
        78..83 => Action::Verify { path },
        83..86 => Action::List,
        86..95 => Action::Force { path, drain: random.random_bool(0.7) },
        _ => Action::Original {
            path,
            ttl_ms: random.random_range(500..=15_000),
            hold_ms: random.random_range(100..=20_000),
        },
    }
}

fn hold(random: &mut ChaCha8Rng, first: u8) -> Action {
    let more = [0, 0, 0, 1, 1, 2][random.random_range(0..6_usize)];
    let mut paths: Vec<u8> = (0..=more).map(|next| (first + next * 2 + next / 2) % PATHS).collect();
    paths.sort_unstable();
    paths.dedup();
    let ttl_ms = match random.random_range(0..10) {
        0 => random.random_range(1..=900),
        1..5 => random.random_range(1_000..=8_000),
        5..8 => random.random_range(8_000..=30_000),
        _ => random.random_range(30_000..=90_000),
    };
    // Only a long hold outlives the short first term of what was granted out of the queue.
    let longest_ms = if ttl_ms > 30_000 { 60_000 } else { 25_000 };
    Action::Hold {
        paths,
        ttl_ms,
        wait_ms: random.random_bool(0.75).then(|| random.random_range(1_000..=45_000)),
        patience_ms: random.random_bool(0.6).then(|| random.random_range(100..=20_000)),
        hold_ms: random.random_range(50..=ttl_ms.saturating_mul(2).clamp(100, longest_ms)),
        // A belief shorter than a way there and back would never begin.
        renew: ttl_ms >= 1_000 && random.random_bool(0.7),
        ending: if random.random_bool(0.75) { Ending::Release } else { Ending::Lapse },
    }
}
