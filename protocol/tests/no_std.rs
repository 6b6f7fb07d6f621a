//! The crate builds where there is no standard library.
//!
//! A library with a panic handler of its own depends on this crate. If anything it is linked with pulled in `std`, there would be two
//! panic handlers, and the compiler would refuse ("duplicate lang item"). No other target has to be installed for that.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const MANIFEST: &str = r#"
[package]
name = "bare"
version = "0.0.0"
edition = "2024"

[dependencies]
farthing-protocol = { path = "PROTOCOL" }

[profile.dev]
panic = "abort"

[workspace]
"#;

const LIBRARY: &str = r"
#![no_std]

use farthing_protocol::error::FrameError;
use farthing_protocol::payment::Payment;
use farthing_protocol::wire::{Frame, PaymentFrame};

EXTRA
#[panic_handler]
fn halt(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

pub fn well_formed(bytes: &[u8]) -> Result<bool, FrameError> {
    PaymentFrame::from_bytes(bytes).map(|frame| Payment::from_frame(&frame).is_ok())
}
";

/// Whether such a library builds, and what the compiler says.
fn builds(extra: &str) -> (bool, String) {
    let protocol = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bare = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
    fs::create_dir_all(bare.join("src")).unwrap();
    let path = protocol.display().to_string().replace('\\', "/");
    fs::write(bare.join("Cargo.toml"), MANIFEST.replace("PROTOCOL", &path)).unwrap();
    fs::write(bare.join("src/lib.rs"), LIBRARY.replace("EXTRA", extra)).unwrap();
    // The versions that everything else is built with, which are on this machine.
    for lock in [protocol.join("../Cargo.lock"), protocol.join("Cargo.lock")] {
        if lock.exists() {
            fs::copy(lock, bare.join("Cargo.lock")).unwrap();
            break;
        }
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--lib"]).current_dir(&bare).env("CARGO_TARGET_DIR", bare.join("target"));
    let output = cargo.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_library_without_std_depends_on_this_crate() {
    let (built, messages) = builds("");
    assert!(built, "{messages}");
    // And the proof proves something: with std in the graph it fails.
    let (built, messages) = builds("extern crate std;");
    assert!(!built && messages.contains("panic_impl"), "{messages}");
}
