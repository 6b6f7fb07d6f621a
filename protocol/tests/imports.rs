//! The import rules of the architecture, read from the sources: what may use what, and what stands in one module only.
//!
//! Comments are not code: lines that begin with `//` do not count, and neither does anything behind `#[cfg(test)]`.

use std::fs;
use std::path::{Path, PathBuf};

fn crate_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The workspace's other crates; none where this crate was unpacked by itself.
fn services() -> Vec<PathBuf> {
    let all = ["mint", "verifier", "wallet"].map(|name| crate_root().join("..").join(name));
    all.into_iter().filter(|path| path.join("Cargo.toml").exists()).collect()
}

/// Every Rust file under a folder, with its path relative to that folder and its code.
fn sources(folder: &Path) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
    found.iter().map(|path| (name(path), code(&fs::read_to_string(path).unwrap()))).collect()
}

/// A file without comment lines and without its tests, which stand at the end.
fn code(text: &str) -> String {
    let untested = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let untested = untested.split("#[cfg(test)]\npub(crate) mod ").next().unwrap_or_default();
    untested.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn protocol() -> Vec<(String, String)> {
    sources(&crate_root().join("src"))
}

/// Names of the files whose code holds one of these words.
fn files_with(files: &[(String, String)], words: &[&str]) -> Vec<String> {
    files.iter().filter(|(_, code)| words.iter().any(|word| code.contains(word))).map(|(name, _)| name.clone()).collect()
}

#[test]
fn wire_uses_nothing_of_ours_but_errors() {
    for (name, code) in protocol().iter().filter(|(name, _)| name.starts_with("wire/")) {
        for line in code.lines().filter(|line| line.contains("crate::")) {
            assert!(line.contains("crate::error"), "{name}: {line}");
        }
        for line in code.lines().filter(|line| line.contains("super::")) {
            assert!(!line.contains("super::super"), "{name}: {line}");
        }
    }
}

#[test]
fn one_module_for_each_danger() {
    let files = protocol();
    // Bytes become points and scalars in one place, which refuses what is not canonical.
    assert_eq!(files_with(&files, &["decompress", "CompressedRistretto", "from_canonical_bytes", "from_uniform_bytes"]), ["group.rs"]);
    assert_eq!(files_with(&files, &["merlin::"]), ["transcript.rs"]);
    assert_eq!(files_with(&files, &["keccak::"]), ["public_transcript.rs"]);
    // Labels are made in one place (their constructors are private: tests/misuse/labels_made_up.rs).
    assert_eq!(files_with(&files, &["\"farthing/1", "Domain(", "Field("]), ["labels.rs"]);
    // One codec.
    assert_eq!(files_with(&files, &["bincode"]), ["wire/mod.rs"]);
    assert_eq!(files_with(&files, &["base64ct"]), ["wire/bytes.rs"]);
}

#[test]
fn no_world_around_the_protocol() {
    let files = protocol();
    let words = ["std::", "unsafe ", "SystemTime", "Instant", "OsRng", "SysRng", "thread_rng", "println!", "f32", "f64"];
    assert_eq!(files_with(&files, &words), Vec::<String>::new());
    let lib = fs::read_to_string(crate_root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]"));
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    for folder in ["src", "tests", "benches"] {
        for (name, _) in sources(&crate_root().join(folder)) {
            let lines = fs::read_to_string(crate_root().join(folder).join(&name)).unwrap().lines().count();
            assert!(lines < 600, "{folder}/{name}: {lines} lines");
        }
    }
}

/// The names under `[dependencies]` and `[build-dependencies]`, and their targets' ones.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            // Also `[dependencies.name]`.
            let (name, rest) = section.rsplit_once("dependencies.").map_or((section, None), |(before, name)| (before, Some(name)));
            inside = (section.ends_with("dependencies") && !section.ends_with("dev-dependencies")) && rest.is_none();
            if let Some(rest) = rest.filter(|_| !name.ends_with("dev-")) {
                found.push(rest.to_owned());
            }
        } else if inside && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn manifests_are_read_as_cargo_reads_them() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n[dependencies.c]\npath = \"d\"\n\
        [dev-dependencies]\ne = \"1\"\n[target.'cfg(unix)'.dependencies]\nf = \"1\"\n[build-dependencies]\ng = \"1\"\n[lints]\nh = true\n";
    assert_eq!(dependencies(manifest), ["a", "b", "c", "f", "g"]);
}

#[test]
fn services_never_use_one_another() {
    for service in services() {
        let own = service.file_name().unwrap().to_string_lossy().into_owned();
        let manifest = fs::read_to_string(service.join("Cargo.toml")).unwrap();
        let names = dependencies(&manifest);
        assert!(names.iter().any(|name| name == "farthing-protocol"), "{own}: the manifest was not understood");
        let files = sources(&service.join("src"));
        for other in ["mint", "verifier", "wallet"].into_iter().filter(|other| *other != own) {
            assert!(!names.iter().any(|name| *name == format!("farthing-{other}")), "{own} depends on {other}");
            assert_eq!(files_with(&files, &[&format!("farthing_{other}")]), Vec::<String>::new(), "{own} uses {other}");
        }
        // Curve arithmetic and frames belong to the protocol.
        assert_eq!(files_with(&files, &["curve25519_dalek", "bincode"]), Vec::<String>::new(), "{own}");
        // The protocol's domains are its own.
        assert_eq!(files_with(&files, &["\"farthing/1 "]), Vec::<String>::new(), "{own}");
    }
    let manifest = fs::read_to_string(crate_root().join("Cargo.toml")).unwrap();
    assert!(!dependencies(&manifest).iter().any(|name| name.starts_with("farthing-")));
}

#[test]
fn the_c_interface_uses_the_verifier_and_holds_its_pointers_in_two_modules() {
    let ffi = crate_root().join("../ffi");
    if !ffi.exists() {
        return;
    }
    let names = dependencies(&fs::read_to_string(ffi.join("Cargo.toml")).unwrap());
    assert!(
        names.iter().any(|name| name == "verifier") && !names.iter().any(|name| ["farthing-mint", "farthing-wallet"].contains(&&**name))
    );
    let files: Vec<_> = sources(&ffi.join("src")).into_iter().filter(|(name, _)| name != "tests.rs").collect();
    assert_eq!(files_with(&files, &["unsafe"]), ["exports.rs", "memory.rs"]);
    assert_eq!(files_with(&files, &["catch_unwind"]), ["exports.rs"]);
}

#[test]
fn the_mints_layers() {
    let mint = crate_root().join("../mint/src");
    if !mint.exists() {
        return;
    }
    for (name, code) in sources(&mint) {
        let forbidden: &[&str] = if ["http/", "admin/", "shop/"].iter().any(|folder| name.starts_with(folder)) {
            &["crate::store", "crate::signer", "sqlx", "SigningKey", "Nonces"]
        } else if name.starts_with("operations/") {
            &["sqlx", "axum", "hyper", "reqwest", "crate::http", "sqlite"]
        } else if name.starts_with("signer/") {
            &["sqlx", "axum", "crate::http", "crate::operations", "crate::store"]
        } else if name.starts_with("store/") {
            &["axum", "crate::http", "crate::operations", "crate::signer"]
        } else {
            &[]
        };
        for line in code.lines() {
            // Words such as `Sqlite` in a name of an error are no use of SQL.
            assert!(!forbidden.iter().any(|word| line.contains(word)), "{name}: {line}");
        }
    }
}
