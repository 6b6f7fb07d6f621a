//! Traces of the protocol's model (`model/`), replayed on the real types: see `spec/model.md`.

#![allow(clippy::trivially_copy_pass_by_ref, reason = "keys of maps come by reference")]

mod real;
mod replay;
mod shared;

use farthing_model::rules::Action;
use farthing_model::{scenes, traces};

/// Random walks of each scene.
const WALKS: u64 = 4;

/// Steps of a walk.
const STEPS: usize = 40;

#[tokio::test]
async fn traces_of_the_model_are_those_of_the_real_types() {
    let mut shown = 0;
    for (name, scene) in scenes::small() {
        let shortest = traces::shortest(&scene);
        shown += shortest.len();
        let walks = (0..WALKS).map(|seed| traces::walk(&scene, seed, STEPS));
        let all: Vec<Vec<Action>> = shortest.into_iter().map(|(_, way)| way).chain(walks).collect();
        for (seed, trace) in (0..).zip(&all) {
            Box::pin(replay::replay(&scene, trace, seed)).await;
        }
        println!("{name}: {} traces, {} steps", all.len(), all.iter().map(Vec::len).sum::<usize>());
    }
    // All that the scenes show but what needs a deadline to pass.
    assert_eq!(shown, 17);
}
