//! Traces to be replayed on the real types.

use std::collections::{HashSet, VecDeque};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use stateright::Model;

use crate::rules::{Action, Scene};
use crate::state::State;

/// Whether a step can be made to happen with the real types: their clocks go on by themselves, and what a dead process left on its way
/// to the disk is the database's own business.
pub fn replayable(action: &Action) -> bool {
    match action {
        Action::Late | Action::ProveAgain(_) | Action::Forget(_) | Action::GiveUp(_) => false,
        Action::Commit(booking) => booking.alive,
        Action::Deliver(_)
        | Action::CrashMint
        | Action::CrashPublisher(_)
        | Action::Begin(_)
        | Action::Prepare(_)
        | Action::GiveBack(_)
        | Action::Say(_) => true,
    }
}

fn moves(scene: &Scene, state: &State) -> Vec<(Action, State)> {
    let mut actions = Vec::new();
    scene.actions(state, &mut actions);
    actions.into_iter().filter(replayable).filter_map(|action| Some((action, scene.next_state(state, action)?))).collect()
}

/// A random walk of replayable steps; the same for the same seed.
///
/// Implements R-MODEL-02.
pub fn walk(scene: &Scene, seed: u64, steps: usize) -> Vec<Action> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut taken = Vec::new();
    let mut states = scene.init_states();
    while let Some(state) = states.pop().filter(|_| taken.len() < steps) {
        if let Some((action, next)) = moves(scene, &state).choose(&mut rng) {
            taken.push(*action);
            states.push(next.clone());
        }
    }
    taken
}

/// The shortest way to each thing that the scene must show, as far as replayable steps lead there.
pub fn shortest(scene: &Scene) -> Vec<(&'static str, Vec<Action>)> {
    let mut wanted = scene.shows.to_vec();
    let mut found = Vec::new();
    let mut seen: HashSet<State> = HashSet::new();
    let mut queue: VecDeque<(State, Vec<Action>)> = scene.init_states().into_iter().map(|state| (state, Vec::new())).collect();
    while let Some((state, way)) = queue.pop_front().filter(|_| !wanted.is_empty()) {
        wanted.retain(|(name, shown)| {
            let here = shown(scene, &state);
            if here {
                found.push((*name, way.clone()));
            }
            !here
        });
        for (action, next) in moves(scene, &state) {
            if seen.insert(next.clone()) {
                queue.push_back((next, way.iter().copied().chain([action]).collect()));
            }
        }
    }
    found
}
