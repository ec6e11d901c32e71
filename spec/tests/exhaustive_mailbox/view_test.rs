//! The view is held to what it promises: states of one view lead to states of the same views.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use crate::model::World;
use crate::setting::Setting;
use crate::state::State;
use crate::worlds;

const WALKS: u64 = 60;
const STEPS: usize = 30;

fn view(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn successors(world: &World, state: &State) -> Vec<State> {
    let mut actions = Vec::new();
    world.actions(state, &mut actions);
    actions.into_iter().filter_map(|action| world.next_state(state, action)).collect()
}

/// How often two different states of one view met on random walks. Panics when they part.
fn meetings(setting: Setting) -> usize {
    let world = World { setting };
    let mut seen: BTreeMap<u64, (State, BTreeSet<u64>)> = BTreeMap::new();
    let mut meetings = 0;
    let mut random: u64 = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..WALKS {
        let mut state = world.init_states().remove(0);
        for _ in 0..STEPS {
            let mut next = successors(&world, &state);
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
    meetings
}

#[test]
fn states_of_one_view_have_successors_of_the_same_views() {
    let mut all = 0;
    // A step of theirs copies megabytes, and nothing else is special about them.
    let is_slow = |setting: &Setting| setting.mails.iter().any(|mail| mail.message.bytes() > 1_000);
    for setting in worlds::all().into_iter().filter(|setting| !is_slow(setting)) {
        let name = setting.name;
        let met = meetings(setting);
        println!("view   {name:<22} {met:>6} meetings of different states of one view");
        all += met;
    }
    assert!(all > 100, "the walks met only {all} times");
}
