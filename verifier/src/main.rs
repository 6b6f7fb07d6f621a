//! `farthing-verifier`: the sidecar of a reverse proxy. Everything is in [`farthing_verifier::sidecar`].

use std::process::ExitCode;

fn main() -> ExitCode {
    farthing_verifier::sidecar::run()
}
