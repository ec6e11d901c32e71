//! Planted bugs: realistic mistakes, each made at a seam of the [subject](crate::subject), which the
//! simulator has to catch. They show that the invariants can fail, and which of them is needed.

mod belief_from_the_retrys_sending;
mod expiry_only_by_alarm;
mod order_of_a_hash_map;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use crate::explore::verdict_or_panic;
use crate::plan::shrink::shrink;
use crate::plan::{Plan, Profile};
use crate::subject::Subject;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// Its name: what somebody did.
    pub name: &'static str,
    /// The invariant that has to find it.
    pub breaks: &'static str,
    /// Who has it.
    pub subject: Subject,
    /// The profile in which it is looked for; the mix if none is named.
    pub profile: Option<Profile>,
}

/// Every planted bug.
pub const GALLERY: &[Bug] = &[expiry_only_by_alarm::BUG, belief_from_the_retrys_sending::BUG];

/// What no plan could reproduce: for the check that a plan run twice gives one event log.
pub const CANARY: Bug = order_of_a_hash_map::BUG;

/// Most seeds that a bug may take.
const SEEDS: u64 = 200;
/// Most simulations that the shrinking of a plan may take.
const TRIES: u32 = 400;

/// How a bug was caught, or not.
#[derive(Clone, Debug, Serialize)]
pub struct Catch {
    /// The bug.
    pub name: &'static str,
    /// Whether its invariant found it.
    pub caught: bool,
    /// The invariant that has to find it.
    pub invariant: &'static str,
    /// How many seeds were tried.
    pub seeds_tried: u64,
    /// Every invariant that the shrunk plan breaks.
    pub broken: Vec<String>,
    /// How many parts the shrunk plan has.
    pub parts: usize,
    /// The shrunk plan.
    #[serde(skip)]
    pub plan: Option<Plan>,
}

/// The bug with this name, the canary among them.
#[must_use]
pub fn named(name: &str) -> Option<Bug> {
    GALLERY.iter().chain([&CANARY]).find(|bug| bug.name == name).copied()
}

/// Looks for every bug of the gallery, several at a time.
pub fn hunt(done: impl Fn(&Catch) + Sync) -> Vec<Catch> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let caught = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(GALLERY.len()) {
            scope.spawn(|| {
                while let Some(bug) = GALLERY.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let catch = catch(bug);
                    done(&catch);
                    caught.lock().unwrap_or_else(|e| e.into_inner()).push(catch);
                }
            });
        }
    });
    let mut caught = caught.into_inner().unwrap_or_else(|e| e.into_inner());
    caught.sort_by_key(|catch: &Catch| GALLERY.iter().position(|bug| bug.name == catch.name));
    caught
}

/// Looks for one bug, and shrinks the first plan that shows it.
#[must_use]
pub fn catch(bug: &Bug) -> Catch {
    let mut catch = Catch {
        name: bug.name,
        caught: false,
        invariant: bug.breaks,
        seeds_tried: 0,
        broken: Vec::new(),
        parts: 0,
        plan: None,
    };
    let broken = |plan: &Plan| -> Vec<String> {
        let verdict = verdict_or_panic(plan, bug.subject);
        verdict.judgement.violations.into_iter().map(|found| found.invariant).collect()
    };
    let shows = |plan: &Plan| broken(plan).iter().any(|name| name == bug.breaks);
    for seed in 0..SEEDS {
        catch.seeds_tried = seed + 1;
        let plan = Plan::from_seed(seed, bug.profile);
        if shows(&plan) {
            let shrunk = shrink(&plan, TRIES, &mut |plan| shows(plan));
            catch.caught = true;
            catch.broken = broken(&shrunk.plan);
            catch.parts = shrunk.plan.parts();
            catch.plan = Some(shrunk.plan);
            break;
        }
    }
    catch
}
