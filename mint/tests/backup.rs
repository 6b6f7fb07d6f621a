//! Backups made by the real binary beside a serving mint under load, and what comes back.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::World;
use farthing_mint::{Mint, MintError, MintOptions};
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::settle::Outcome;
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farthing-mint")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_comes_back_as_it_was() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let data = world.path().to_path_buf();
    let stop = Arc::new(AtomicBool::new(false));
    let done = stop.clone();
    let load = tokio::spawn(async move {
        let (mut deposited, mut last) = (0, None);
        // Every deposit is a transaction of its own and credits as much as every other.
        while !done.load(Ordering::SeqCst) || deposited < 3 {
            let tokens = world.tokens(&[100]).await;
            let (deposit, _) = world.pay(tokens, "news.example", 100);
            let frame: DepositResponseFrame = world.deposit_frame(&[&deposit], None).await.frame();
            assert!(matches!(world.outcomes(&frame, &[&deposit])[0], Outcome::Credited { .. }));
            deposited += 1;
            last = Some((deposit, frame.mark));
        }
        (world, last.unwrap())
    });
    let place = tempfile::tempdir().unwrap();
    let backups: Vec<_> = (0..3).map(|number| place.path().join(format!("backup-{number}"))).collect();
    for backup in &backups {
        let (data, to) = (data.clone(), backup.clone());
        let output = tokio::task::spawn_blocking(move || run(&["backup", "--data", text(&data), text(&to)])).await.unwrap();
        assert!(output.status.success() && said(&output).contains("not sealed"), "{}", said(&output));
    }
    stop.store(true, Ordering::SeqCst);
    let (mut world, (deposit, mark)) = load.await.unwrap();

    let mut sequences = Vec::new();
    for (number, backup) in backups.iter().enumerate() {
        let mut names: Vec<_> = std::fs::read_dir(backup).unwrap().map(|entry| entry.unwrap()).collect();
        names.sort_by_key(std::fs::DirEntry::file_name);
        for file in &names {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        }
        let names: Vec<_> = names.iter().map(|file| file.file_name().into_string().unwrap()).collect();
        assert_eq!(names, ["keys.json", "ledger.sqlite", "manifest.json", "mint.json"], "and no root key");
        let restored = place.path().join(format!("restored-{number}"));
        let output = run(&["restore", "--data", text(&restored), text(backup)]);
        assert!(output.status.success() && said(&output).contains("THIS LEDGER IS OLD"), "{}", said(&output));
        assert!(said(&run(&["audit", "--data", text(&restored)])).contains(" 0 differences"));
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(backup.join("manifest.json")).unwrap()).unwrap();
        let sequence = manifest["sequence"].as_u64().unwrap();
        let mint = Mint::open(&restored, MintOptions { clock: world.hands.clone(), ..MintOptions::default() }).await.unwrap();
        let earned = mint.publisher_balance("news.example").await.unwrap().unwrap().units();
        assert_eq!(earned, 100 * sequence, "the balances are those of that moment");
        assert!(mint.status().await.unwrap().balanced);
        sequences.push(sequence);
    }
    assert!(sequences.is_sorted() && sequences[0] < world.earned("news.example").await / 100, "the load went on");

    // What was lost shows as soon as a verifier tells how far the ledger had come.
    let voucher = world.voucher(100).await;
    world.issue(&[100], &FundingKeys::Voucher(&voucher)).await.unwrap();
    let old = place.path().join("restored-0");
    let mint = Mint::open(&old, MintOptions { clock: world.hands.clone(), ..MintOptions::default() }).await.unwrap();
    let (address, server) = common::serve(&mint).await;
    world.http = common::Http::new(address);
    let frame = DepositRequestFrame { seen: Some(mark), payments: vec![deposit.to_body()] };
    let answer = world.http.post("/v1/deposits", &frame).await;
    assert_eq!(answer.code(), "ledger-behind");
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_backup_or_a_changed_one_is_not_taken() {
    let mut world = World::new().await;
    world.tokens(&[100]).await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let manifest = world.mint.back_up(&backup, true).await.unwrap();
    assert!(manifest.files.contains_key("root.key"), "because it was asked for");
    assert_eq!(world.mint.back_up(&backup, false).await, Err(MintError::AlreadyInitialised));
    let mut tries = 0;
    let mut refused = async |change: &dyn Fn(&Path)| {
        tries += 1;
        let (copy, to) = (place.path().join(format!("copy-{tries}")), place.path().join(format!("to-{tries}")));
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&backup).unwrap().map(|file| file.unwrap()) {
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        change(&copy);
        let error = Mint::restore(&copy, &to).await.unwrap_err();
        assert_eq!(Mint::open(&to, MintOptions::default()).await.err(), Some(MintError::NotInitialised), "no mint is left behind");
        error.to_string()
    };
    assert!(refused(&|copy| std::fs::remove_file(copy.join("manifest.json")).unwrap()).await.contains("half of one"));
    for file in ["ledger.sqlite", "keys.json", "root.key", "mint.json"] {
        let flip = |copy: &Path| {
            let mut bytes = std::fs::read(copy.join(file)).unwrap();
            // White space at the end changes no meaning, only the content.
            bytes.push(b'\n');
            std::fs::write(copy.join(file), bytes).unwrap();
        };
        assert!(refused(&flip).await.contains("not what the manifest says"), "{file}");
        assert!(refused(&|copy| std::fs::remove_file(copy.join(file)).unwrap()).await.len() > 5, "{file}");
    }
    let edit = |from: &'static str, to: &'static str| {
        move |copy: &Path| {
            let manifest = std::fs::read_to_string(copy.join("manifest.json")).unwrap();
            assert!(manifest.contains(from));
            std::fs::write(copy.join("manifest.json"), manifest.replace(from, to)).unwrap();
        }
    };
    assert!(refused(&edit("root.key", "../root.key")).await.contains("no backup has"));
    assert!(refused(&edit("\"sequence\": 0", "\"sequence\": 1")).await.contains("not the one that the manifest names"));
    let restored = place.path().join("restored");
    Mint::restore(&backup, &restored).await.unwrap();
    assert_eq!(Mint::restore(&backup, &restored).await, Err(MintError::AlreadyInitialised));
    assert_eq!(std::fs::metadata(&restored).unwrap().permissions().mode() & 0o777, 0o700);
    let mint = Mint::open(&restored, MintOptions::default()).await.unwrap();
    assert_eq!(mint.status().await.unwrap(), world.mint.status().await.unwrap());
}
