//! Explores the model: every property holds to a bound, and fails when its defence is left out. `spec/model.md` says how to run it.

use std::collections::BTreeSet;

use farthing_model::broken::Broken;
use farthing_model::rules::Scene;
use farthing_model::{properties, scenes};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores a scene wholly; no property may fail. Says how many states there were.
fn explore(name: &str, scene: Scene) {
    let started = std::time::Instant::now();
    let checker = scene.checker().threads(threads()).spawn_bfs().join();
    println!(
        "{name}: {} states, {} steps deep, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64()
    );
    checker.assert_properties();
    assert!(checker.is_done());
}

/// A way to break a property in a broken scene; it must exist.
fn assert_broken(broken: Broken, property: &'static str, scene: &Scene) {
    let scene = Scene { broken: Some(broken), shows: &[], ..scene.clone() };
    let checker = scene.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property]))).spawn_bfs().join();
    let found = checker.discovery(property);
    assert!(found.is_some(), "{broken:?} does not break: {property} ({} states)", checker.unique_state_count());
    println!("{broken:?}: {property} fails after {} steps", found.map_or(0, |path| path.into_actions().len()));
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[test]
fn every_property_holds_to_a_small_bound() {
    for (name, scene) in scenes::small() {
        explore(name, scene);
    }
}

#[test]
fn every_property_fails_when_its_defence_is_left_out() {
    for (broken, property, scene) in scenes::broken() {
        assert_broken(broken, property, &scene);
    }
    let named = |name: &str| scenes::broken().iter().any(|(_, property, _)| *property == name);
    let properties = properties::all(&[]);
    assert!(properties.iter().all(|property| named(property.name)), "a property that nothing breaks");
}
