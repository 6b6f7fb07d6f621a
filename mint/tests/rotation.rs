//! The real binary: keysets announced beside the serving process, a root key on another machine, keys at rest.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::{BINARY, Http, eventually};
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::wire::KeysetListFrame;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-mint"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["FARTHING_MINT_PASSPHRASE", "FARTHING_MINT_PASSPHRASE_FILE", "FARTHING_MINT_KEY_FILE", "FARTHING_MINT_DATA"] {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&text(arguments)).unwrap()
}

fn secret_file(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A serving process, killed when dropped.
struct Serving(Child, Http);

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut serve = command(&["serve", "--listen", "127.0.0.1:0"]);
        serve.args(arguments).env("FARTHING_MINT_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = serve.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let http = Http::new(line.trim().strip_prefix("serving on http://").unwrap().parse().unwrap());
        Self(child, http)
    }

    /// What wallets see, once it is so many keysets.
    async fn list(&self, root: &str, keysets: usize) -> KeysetList {
        let root = farthing_mint::parse_key(root).unwrap();
        let mut list = None;
        eventually("that the serving process takes the keyset over", async || {
            let frame: KeysetListFrame = self.1.get("/v1/keysets", &[("accept", BINARY)]).await.frame();
            list = (frame.keysets.len() == keysets).then(|| KeysetList::verify(&frame, &root).unwrap());
            list.is_some()
        })
        .await;
        list.unwrap()
    }

    fn log(mut self) -> String {
        self.0.kill().unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serving_process_takes_over_what_others_announce_and_retire() {
    let dir = tempfile::tempdir().unwrap();
    let (data, words) = (dir.path().join("mint"), dir.path().join("words"));
    let (data, words) = (data.to_str().unwrap(), words.to_str().unwrap());
    secret_file(words.as_ref(), b"nobody else knows this\n");
    let root = text(&["init", "--data", data, "--passphrase-file", words]);
    let serving = Serving::start(&["--data", data, "--passphrase-file", words]);
    let announced = json(&["keyset", "rotate", "--json", "--data", data, "--passphrase-file", words]);
    assert_eq!((&announced["number"], &announced["gap"]), (&1.into(), &0.into()));
    let list = serving.list(&root, 2).await;
    assert_eq!(list.keysets()[1].windows().issue_from, announced["issue_from"].as_u64().unwrap());
    assert!(refusal(&["keyset", "rotate", "--data", data, "--passphrase-file", words]).contains("does not issue yet"));
    // Reading, selling and retiring need no passphrase.
    text(&["keyset", "retire", "0", "--data", data]);
    assert!(refusal(&["keyset", "retire", "7", "--data", data]).contains("no such keyset"));
    let shown = json(&["keyset", "list", "--json", "--data", data]);
    let windows: Vec<_> = shown["keysets"].as_array().unwrap().iter().map(|one| one["window"].as_str().unwrap()).collect();
    assert_eq!(windows, ["retired", "announced"]);
    assert_eq!((&shown["keysets"][0]["state"], &shown["ledger"]["spent"]), (&"open".into(), &0.into()));
    assert!(text(&["keyset", "list", "--data", data]).starts_with("keyset 0   open    retired"));
    assert_eq!(json(&["clock", "show", "--json", "--data", data])["believed"], true);
    assert!(text(&["clock", "accept", "--data", data]).ends_with("believed"));
    let log = serving.log();
    assert!(!log.contains("nobody else") && !log.contains(data) && !log.contains(words), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_announces_by_itself_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("mint");
    let data = data.to_str().unwrap();
    let root = text(&["init", "--data", data, "--insecure-plain-keys"]);
    let serving = Serving::start(&["--data", data, "--rotate", "--rotate-lead", "100", "--rotate-overlap", "10"]);
    let list = serving.list(&root, 2).await;
    let (first, second) = (list.keysets()[0].windows(), list.keysets()[1].windows());
    assert_eq!(second.issue_from, first.issue_until - 10 * 86_400);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    serving.list(&root, 2).await;
    assert!(serving.log().contains("the keys are not sealed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_key_signs_on_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, key, elsewhere, proposal, signed) = (path("mint"), path("mint.key"), path("root.key"), path("proposal"), path("signed"));
    secret_file(key.as_ref(), &[7; 32]);
    let root = text(&["init", "--data", &data, "--key-file", &key]);
    std::fs::rename(format!("{data}/root.key"), &elsewhere).unwrap();
    let serving = Serving::start(&["--data", &data, "--key-file", &key]);
    assert!(refusal(&["keyset", "rotate", "--data", &data, "--key-file", &key]).contains("keyset prepare"));

    let prepare = || std::fs::write(&proposal, text(&["keyset", "prepare", "--data", &data, "--key-file", &key])).unwrap();
    let sign = |more: &[&str]| run(&[&["keyset", "sign", "--root", &elsewhere, &proposal], more].concat());
    prepare();
    let output = sign(&[]);
    assert!(output.status.success());
    let seen = String::from_utf8(output.stderr).unwrap();
    assert!(seen.contains(&root) && seen.contains("keyset          1") && seen.contains("key     100000"), "{seen}");
    assert!(sign(&[]).stdout == output.stdout || sign(&[]).status.success(), "the same keyset again is no fork");
    // Another keyset of that number would be one.
    prepare();
    assert!(String::from_utf8(sign(&[]).stderr).unwrap().contains("signed before"));
    let second = sign(&["--replace"]);
    assert!(second.status.success());

    let publish = || run(&["keyset", "publish", &signed, "--json", "--data", &data, "--key-file", &key]);
    // Keys of a stranger, a signature of a stranger, half a file: nothing is announced.
    let mut forged: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
    forged["keysets"][1]["windows"][4] = (forged["keysets"][1]["windows"][4].as_u64().unwrap() + 1).into();
    for wrong in [forged.to_string().into_bytes(), second.stdout[..200].to_vec(), b"{}".to_vec()] {
        std::fs::write(&signed, wrong).unwrap();
        assert!(!publish().status.success());
    }
    std::fs::write(&signed, &second.stdout).unwrap();
    let done = publish();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serving.list(&root, 2).await;
    // Published before: nothing is added; and the first, signed for the same number, is a fork.
    assert!(String::from_utf8(publish().stderr).unwrap().contains("exactly one keyset"));
    std::fs::write(&signed, &output.stdout).unwrap();
    assert!(!publish().status.success());
    assert_eq!(json(&["keyset", "list", "--json", "--data", &data])["keysets"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_sealed_anew_under_a_serving_process_stop_neither_it_nor_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, old, new) = (path("mint"), path("old"), path("new"));
    secret_file(old.as_ref(), &[1; 32]);
    secret_file(new.as_ref(), &[2; 32]);
    let root = text(&["init", "--data", &data, "--key-file", &old]);
    let serving = Serving::start(&["--data", &data, "--key-file", &old]);
    text(&["keys", "seal", "--data", &data, "--key-file", &old, "--new-key-file", &new]);
    text(&["keyset", "rotate", "--data", &data, "--key-file", &new]);
    serving.list(&root, 2).await;
    assert!(serving.1.get("/readyz", &[]).await.status.is_success());
    assert!(serving.log().contains("start the mint again"));
    let serving = Serving::start(&["--data", &data, "--key-file", &new]);
    serving.list(&root, 2).await;
}

#[test]
fn keys_are_sealed_unless_the_operator_insists() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, words, other) = (path("mint"), path("words"), path("other"));
    assert!(refusal(&["init", "--data", &data]).contains("--insecure-plain-keys"));
    secret_file(words.as_ref(), b"short\n");
    assert!(refusal(&["init", "--data", &data, "--passphrase-file", &words]).contains("12 characters"));
    secret_file(words.as_ref(), b"a long passphrase\n");
    std::fs::set_permissions(&words, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&["init", "--data", &data, "--passphrase-file", &words]).contains("0600"));
    secret_file(words.as_ref(), b"a long passphrase\n");
    text(&["init", "--data", &data, "--passphrase-file", &words]);
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        let content = std::fs::read(file.path()).unwrap();
        assert!(!content.windows(9).any(|bytes| bytes == b"\"receipt\""), "{:?} holds plain keys", file.file_name());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
    assert!(refusal(&["serve", "--data", &data]).contains("the keys are sealed"));
    secret_file(other.as_ref(), b"another passphrase\n");
    assert!(refusal(&["serve", "--data", &data, "--passphrase-file", &other]).contains("does not open"));
    text(&["keys", "seal", "--data", &data, "--passphrase-file", &words, "--new-passphrase-file", &other]);
    assert!(refusal(&["serve", "--data", &data, "--passphrase-file", &words]).contains("does not open"));
    let rotated = json(&["keyset", "rotate", "--json", "--data", &data, "--passphrase-file", &other]);
    assert_eq!(rotated["number"], 1);
}
