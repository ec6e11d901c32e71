//! Waits without time: three holders, three paths, all sets, nobody renews and nothing lapses. A
//! refused cycle and a wait for ever are the same thing, in both directions.
//!
//! An agent here waits for all its tickets before it lets go of anything: the one that can wait for
//! ever. For an agent that lets go earlier a refusal may be needless, and is advice.

use std::hash::{Hash, Hasher};

use mailbus_spec::lease::state::{ClaimName, Content, LeaseMachine, Ticket};
use mailbus_spec::lease::{Acquire, Command, Outcome, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, RequestId, StateMachine, Ttl, Wait};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::harness::{now, report};
use crate::lease::scenario::{BEGIN_MS, holder, paths};

const HOLDERS: [&str; 3] = ["a/1", "a/2", "b/1"];
const SETS: [&str; 6] = ["x", "y", "z", "xy", "yz", "xz"];
/// Number of claims that a holder may have at once.
const CLAIMS: usize = 2;

/// Look of the object for cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    AsSpecified,
    /// At leases alone: spec/rules/refuted.md#a-deadlock-behind-a-ticket.
    AtLeasesOnly,
    Never,
}

#[derive(Clone, Debug)]
struct Waits {
    looks: Looks,
}

#[derive(Clone, Debug, PartialEq)]
struct Claims {
    object: LeaseMachine,
    wrong: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
enum Act {
    /// (holder, set)
    Ask(usize, usize),
    ReleaseAll(usize),
}

impl Hash for Claims {
    /// Names of requests, tokens and arrivals by rank: who holds and who waits for what.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for lease in self.object.leases.values() {
            (&lease.key.holder, &lease.content.paths).hash(hasher);
        }
        self.object.leases.len().hash(hasher);
        for ticket in self.object.queue.values() {
            (&ticket.holder, &ticket.content.paths).hash(hasher);
        }
        self.wrong.hash(hasher);
    }
}

fn acquire(object: &LeaseMachine, who: usize, set: usize) -> Acquire {
    let request = RequestId::new(format!("r{}", object.sequence)).unwrap();
    let (ttl, wait) = (Ttl::from_ms(86_400_000), Wait::from_ms(600_000));
    Acquire::new(holder(HOLDERS[who]), Some(request), paths(SETS[set]), ttl.unwrap(), wait).unwrap()
}

fn handle(object: &mut LeaseMachine, command: Command) -> Result<Outcome, Rejection> {
    object.handle(HostTime(BEGIN_MS), &Event::Command(command)).reply.unwrap().answer
}

/// Everybody who waits for nothing lets go of all, again and again: whoever still waits, waits for
/// ever.
fn is_stuck(object: &LeaseMachine) -> bool {
    let mut object = object.clone();
    loop {
        let waits = |holder: &Holder| object.queue.values().any(|ticket| ticket.holder == *holder);
        let free = object.leases.values().find(|lease| !waits(&lease.key.holder));
        let Some(free) = free.map(|lease| lease.key.holder.clone()) else {
            return !object.queue.is_empty();
        };
        release_all(&mut object, &free);
    }
}

fn release_all(object: &mut LeaseMachine, holder: &Holder) {
    let own: Vec<_> = object.leases.values().filter(|lease| lease.key.holder == *holder).collect();
    let requests: Vec<_> = own.iter().map(|lease| lease.key.clone()).collect();
    for key in requests {
        let ClaimName::Request(request) = key.name else { continue };
        handle(object, Command::Cancel { holder: key.holder, request }).unwrap();
    }
    object.remembered.clear();
}

/// The refused ticket, queued all the same.
fn queue_anyway(object: &LeaseMachine, refused: &Acquire) -> LeaseMachine {
    let mut object = object.clone();
    object.sequence += 1;
    let request = refused.request().unwrap().clone();
    let deadline = object.clock.floor.plus_ms(600_000);
    let (holder, content) = (refused.holder().clone(), Content::of(refused));
    object.queue.insert(object.sequence, Ticket { holder, request, content, deadline });
    object
}

/// True if the cycle runs over leases alone.
fn through_leases(object: &LeaseMachine, refused: &Acquire, cycle: &[Holder]) -> bool {
    let mut wanted = vec![refused.paths().clone()];
    let asker = [refused.holder().clone()];
    cycle[1..].iter().chain(&asker).all(|next| {
        let mut leases = object.leases.values().filter(|lease| lease.key.holder == *next);
        let reached =
            leases.any(|lease| wanted.iter().any(|set| set.overlaps(&lease.content.paths)));
        let tickets = object.queue.values().filter(|ticket| ticket.holder == *next);
        wanted = tickets.map(|ticket| ticket.content.paths.clone()).collect();
        reached
    })
}

impl Waits {
    fn ask(&self, claims: &mut Claims, who: usize, set: usize) {
        let ask = acquire(&claims.object, who, set);
        let before = claims.object.clone();
        match handle(&mut claims.object, Command::Acquire(ask.clone())) {
            Err(Rejection::Deadlock { cycle, .. }) => {
                let queued = queue_anyway(&before, &ask);
                let ignores = match self.looks {
                    Looks::AsSpecified => false,
                    Looks::AtLeasesOnly => !through_leases(&before, &ask, &cycle),
                    Looks::Never => true,
                };
                if ignores {
                    claims.object = queued;
                } else if self.looks == Looks::AsSpecified && !is_stuck(&queued) {
                    claims.wrong = Some("needless refusal");
                }
            }
            Ok(_) | Err(Rejection::Held(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        if is_stuck(&claims.object) {
            claims.wrong = Some("stuck");
        }
    }
}

impl Model for Waits {
    type State = Claims;
    type Action = Act;

    fn init_states(&self) -> Vec<Claims> {
        vec![Claims { object: LeaseMachine::default(), wrong: None }]
    }

    fn actions(&self, claims: &Claims, actions: &mut Vec<Act>) {
        if claims.wrong.is_some() {
            return;
        }
        let object = &claims.object;
        for (who, name) in HOLDERS.iter().enumerate() {
            let own = holder(name);
            let leases = object.leases.values().filter(|lease| lease.key.holder == own).count();
            let tickets = object.queue.values().filter(|ticket| ticket.holder == own).count();
            if leases + tickets < CLAIMS {
                actions.extend((0..SETS.len()).map(|set| Act::Ask(who, set)));
            }
            if tickets == 0 && leases > 0 {
                actions.push(Act::ReleaseAll(who));
            }
        }
    }

    fn next_state(&self, claims: &Claims, act: Act) -> Option<Claims> {
        let mut next = claims.clone();
        match act {
            Act::Ask(who, set) => self.ask(&mut next, who, set),
            Act::ReleaseAll(who) => release_all(&mut next.object, &holder(HOLDERS[who])),
        }
        (next != *claims).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("refused if and only if stuck", |_, claims: &Claims| {
            claims.wrong.is_none()
        })]
    }
}

#[test]
fn a_wait_is_refused_if_and_only_if_it_would_never_end() {
    let begun = now();
    let checker = Waits { looks: Looks::AsSpecified }.checker().threads(2).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    report("deadlock", states, depth, checker.discoveries().is_empty(), begun.elapsed());
    if let Some(path) = checker.discoveries().into_values().next() {
        panic!("{:?} after {:?}", path.last_state().wrong.clone(), path.into_actions());
    }
    assert!(states > 1_000, "only {states} states");
}

fn gets_stuck(looks: Looks) {
    let checker =
        Waits { looks }.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let path = checker.discoveries().into_values().next().expect("nobody waits for ever");
    assert_eq!(path.last_state().wrong, Some("stuck"));
    let actions = path.into_actions();
    println!("refuted {looks:?}: stuck after {} actions: {actions:?}", actions.len());
}

#[test]
fn looking_at_leases_alone_misses_a_ticket_behind_a_ticket() {
    gets_stuck(Looks::AtLeasesOnly);
}

#[test]
fn without_the_check_somebody_waits_for_ever() {
    gets_stuck(Looks::Never);
}
