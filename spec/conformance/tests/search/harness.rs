//! Search of a world: to its end, for the shortest way to a violation, and for views that hide too much.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

/// Count of what has no bound: as many as a view leaves distinguishable.
pub const UNLIMITED: u8 = u8::MAX;

/// Invariant that does not hold, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub why: String,
}

/// World with the names that a search speaks of.
pub trait World:
    Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// Transitions of a world that is cut, without [`more`].
    const GENERATED_MAX: usize;

    fn about(&self) -> About;
    /// The world with so many more of each fault that it has at all.
    fn widened(self, more: u8) -> Self;
    fn violation(&self, state: &Self::State) -> Option<Violation>;
}

/// Names of a world, and what it still lacks.
pub struct About {
    pub name: &'static str,
    pub purpose: &'static str,
    /// The one invariant that is looked at; `None` for all.
    pub only: Option<&'static str>,
    /// Marks that it must reach and has not.
    pub missing: Vec<String>,
}

/// Marks that were reached, by their numbers, whichever thread of a search reached them.
#[derive(Clone, Debug, Default)]
pub struct Reached(Arc<AtomicU64>);

impl Reached {
    pub fn mark(&self, number: u64) {
        self.0.fetch_or(1 << number, Ordering::Relaxed);
    }

    pub fn contains(&self, number: u64) -> bool {
        self.0.load(Ordering::Relaxed) & (1 << number) != 0
    }
}

/// Transitions after which a world is cut, and fails at the usual bounds.
pub fn generated_max<W: World>() -> usize {
    W::GENERATED_MAX << (4 * usize::from(more()).min(4))
}

/// Number to add to every count of faults that is not zero: `MAILBUS_EXHAUSTIVE_MORE`.
fn more() -> u8 {
    std::env::var("MAILBUS_EXHAUSTIVE_MORE").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Adds to a count that is neither none nor without a bound.
pub fn widen(count: &mut u8, more: u8) {
    if *count != 0 && *count != UNLIMITED {
        *count += more;
    }
}

/// Searches a world to its end: nothing is violated, and everything expected is reached.
pub fn holds<W: World>(world: W) {
    let world = world.widened(more());
    let begun = now();
    let checker = world
        .clone()
        .checker()
        .threads(2)
        .target_state_count(generated_max::<W>())
        .spawn_bfs()
        .join();
    let (states, all) = (checker.unique_state_count(), checker.state_count());
    let exhausted = all < generated_max::<W>() && checker.discoveries().is_empty();
    let About { name, purpose, missing, .. } = world.about();
    report(name, states, checker.max_depth(), exhausted, begun.elapsed());
    println!("      {purpose}");
    if !checker.discoveries().is_empty() {
        let (violation, trace, _) = shortest(&world);
        panic!("{name}: {violation:?}\nshortest trace:\n{}", trace.join("\n"));
    }
    assert!(exhausted || more() > 0, "{name}: cut at {states} states");
    assert!(missing.is_empty(), "{name}: never reached: {missing:?}");
}

/// The shortest way to the violation of a broken world. Panics where none is found.
pub fn refuted<W: World>(world: W) {
    let begun = now();
    let (violation, trace, states) = shortest(&world);
    println!(
        "refuted {:<30} {:<24} {:>2} actions {:>8} states {:>5.1} s",
        world.about().name,
        violation.invariant,
        trace.len(),
        states,
        begun.elapsed().as_secs_f64(),
    );
    println!("  {}\n  {}", violation.why, trace.join("\n  "));
    assert_eq!(Some(violation.invariant), world.about().only);
}

fn shortest<W: World>(world: &W) -> (Violation, Vec<String>, usize) {
    let checker = world
        .clone()
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(generated_max::<W>())
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_values().next();
    let states = checker.unique_state_count();
    let path = found.unwrap_or_else(|| {
        let About { name, only, .. } = world.about();
        panic!("{name}: {states} states and no violation of {only:?}")
    });
    let violation = world.violation(path.last_state()).expect("the discovery is a violation");
    let trace = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
    (violation, trace, states)
}

/// Prints how far a search went.
pub fn report(name: &str, states: usize, depth: usize, exhausted: bool, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "world {name:<22} {states:>9} states  depth {depth:>3}  exhausted {exhausted:<5} {seconds:>6.1} s"
    );
}

/// Holds a view to what it promises, on random walks: states of one view lead to states of the same views.
/// Says how often two different states of one view met. Panics when they part.
pub fn meetings<W: World>(world: &W, walks: u64, steps: usize) -> usize {
    let mut seen: BTreeMap<u64, (W::State, BTreeSet<u64>)> = BTreeMap::new();
    let mut meetings = 0;
    let mut random: u64 = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..walks {
        let mut state = world.init_states().remove(0);
        for _ in 0..steps {
            let mut next = successors(world, &state);
            let views: BTreeSet<u64> = next.iter().map(view).collect();
            match seen.get(&view(&state)) {
                Some((other, known)) => {
                    meetings += usize::from(*other != state);
                    assert_eq!(*known, views, "{other:#?}\nand\n{state:#?}\nare told apart");
                }
                None => drop(seen.insert(view(&state), (state.clone(), views))),
            }
            if next.is_empty() {
                break;
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            state = next.swap_remove((random % next.len() as u64) as usize);
        }
    }
    println!(
        "view   {:<22} {meetings:>6} meetings of different states of one view",
        world.about().name
    );
    meetings
}

fn view(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn successors<W: World>(world: &W, state: &W::State) -> Vec<W::State> {
    let mut actions = Vec::new();
    world.actions(state, &mut actions);
    actions.into_iter().filter_map(|action| world.next_state(state, action)).collect()
}

#[expect(clippy::disallowed_methods, reason = "says how long a search took; nothing depends on it")]
pub fn now() -> Instant {
    Instant::now()
}
