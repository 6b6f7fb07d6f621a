//! The real mint as a process: built, initialised, started, killed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use farthing_protocol::voucher::VoucherCode;
use rand::{RngExt, SeedableRng, rngs::StdRng, rngs::SysRng};
use serde_json::Value;
use tempfile::TempDir;

use crate::Fault;
use crate::postgres::{Postgres, run};

/// Where the ledger is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The embedded default.
    Sqlite,
    /// A server of its own, which the tool starts.
    Postgres,
}

impl Engine {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A port that is free now and that no outgoing connection gets by chance: a client that knocks at a dead mint's door must not end up
/// talking to itself, which a port of the system's own range allows.
///
/// # Errors
/// None was found.
pub fn free_port() -> Result<u16, Fault> {
    let mut chance = StdRng::try_from_rng(&mut SysRng)?;
    for _ in 0..100 {
        let port = chance.random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}

/// A mint on a temporary directory. Dropping it kills its processes.
pub struct MintProcess {
    binary: PathBuf,
    directory: TempDir,
    /// Given to every command of the mint; unset for SQLite.
    ledger: Option<String>,
    postgres: Option<Postgres>,
    address: SocketAddr,
    child: Option<Child>,
}

impl MintProcess {
    /// Makes a mint; it does not serve yet. `binary` is built from the workspace if none is given.
    ///
    /// # Errors
    /// The build, the database or the mint fails.
    pub fn new(engine: Engine, binary: Option<PathBuf>) -> Result<Self, Fault> {
        let binary = binary.map_or_else(build, Ok)?;
        let postgres = (engine == Engine::Postgres).then(Postgres::new).transpose()?;
        let ledger = postgres.as_ref().map(Postgres::url);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mint = Self { binary, directory: TempDir::new()?, ledger, postgres, address, child: None };
        mint.command(&["init", "--insecure-plain-keys"])?;
        if engine == Engine::Postgres && mint.data().join("ledger.sqlite").exists() {
            return Err("this farthing-mint took no notice of FARTHING_MINT_LEDGER".into());
        }
        Ok(mint)
    }

    /// Where it serves.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The database beside it.
    pub const fn postgres(&mut self) -> Option<&mut Postgres> {
        self.postgres.as_mut()
    }

    /// Runs one of the operator's commands; returns what it prints.
    ///
    /// # Errors
    /// The command fails; its own words.
    pub fn command(&self, arguments: &[&str]) -> Result<String, Fault> {
        let mut command = self.base();
        command.args(arguments).arg("--data").arg(self.data());
        Ok(run(&mut command)?.trim().to_owned())
    }

    /// The same, with `--json`.
    ///
    /// # Errors
    /// The command fails, or prints no JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value, Fault> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        Ok(serde_json::from_str(&self.command(&arguments)?)?)
    }

    /// Creates vouchers of an amount in smallest units of the default currency.
    ///
    /// # Errors
    /// The command fails.
    pub fn vouchers(&self, units: u64, count: usize) -> Result<Vec<VoucherCode>, Fault> {
        let amount = format!("{}.{:05}", units / 100_000, units % 100_000);
        let codes = self.command(&["voucher", "create", "--amount", &amount, "--count", &count.to_string()])?;
        codes.lines().map(|line| VoucherCode::parse(line).map_err(Into::into)).collect()
    }

    /// Starts serving and waits until it does.
    ///
    /// # Errors
    /// It ends instead; the last lines of its log.
    pub fn start(&mut self) -> Result<(), Fault> {
        // A database in recovery, or a port not yet given back, may refuse a first try.
        for _ in 0..100 {
            self.spawn()?;
            let out = self.child.as_mut().and_then(|child| child.stdout.take()).ok_or("no output")?;
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
            if line.starts_with("serving on http://") {
                return Ok(());
            }
            self.kill()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        Err(format!("the mint does not start: {}", tail.join(" / ")).into())
    }

    /// Starts the process without waiting for anything.
    ///
    /// # Errors
    /// It cannot be started at all.
    pub fn spawn(&mut self) -> Result<(), Fault> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = self.base();
        command.args(["serve", "--listen", &self.address.to_string(), "--data"]).arg(self.data());
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?);
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// There was no process.
    pub fn kill(&mut self) -> Result<(), Fault> {
        let mut child = self.child.take().ok_or("the mint is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Resident memory of the mint's process in MiB; the database's own is not in it.
    ///
    /// # Errors
    /// It is not running.
    pub fn rss_mib(&self) -> Result<f64, Fault> {
        let child = self.child.as_ref().ok_or("the mint is not running")?;
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1_024.0)
    }

    /// Processor time the mint's process has used, in steps of 10 ms.
    ///
    /// # Errors
    /// It is not running.
    pub fn cpu(&self) -> Result<Duration, Fault> {
        let child = self.child.as_ref().ok_or("the mint is not running")?;
        Ok(Stat::of(child.id())?.time)
    }

    /// Processor time of the database's processes, of those that run now; nothing for SQLite, which is inside the mint.
    ///
    /// # Errors
    /// They cannot be seen.
    pub fn database_cpu(&self) -> Result<Duration, Fault> {
        self.postgres.as_ref().map_or(Ok(Duration::ZERO), Postgres::cpu)
    }

    /// Size of the ledger in bytes: of the tables and indices as of the last commit, without the write-ahead log.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ledger_bytes(&self) -> Result<u64, Fault> {
        if let Some(postgres) = &self.postgres {
            return postgres.size();
        }
        sqlite_bytes(&self.data().join("ledger.sqlite"))
    }

    fn base(&self) -> Command {
        let mut command = Command::new(&self.binary);
        // As the unit sets it (decision 52).
        command.env("FARTHING_MINT_LOG", "warn").env("MALLOC_ARENA_MAX", "2");
        match &self.ledger {
            Some(ledger) => command.env("FARTHING_MINT_LEDGER", ledger),
            None => command.env_remove("FARTHING_MINT_LEDGER"),
        };
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("mint")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for MintProcess {
    fn drop(&mut self) {
        if self.child.is_some() {
            drop(self.kill());
        }
    }
}

/// What the kernel tells of a process.
pub(crate) struct Stat {
    /// Who started it.
    pub(crate) parent: u32,
    /// What it has had of the processors.
    pub(crate) time: Duration,
}

impl Stat {
    pub(crate) fn of(process: u32) -> Result<Self, Fault> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // After the name, which may hold anything, in parentheses: field 4 is the parent, 14 user time, 15 the system's, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |index: usize| fields.get(index).copied().unwrap_or_default().parse::<u64>();
        Ok(Self { parent: u32::try_from(number(1)?)?, time: Duration::from_millis(10 * (number(11)? + number(12)?)) })
    }
}

/// Pages after the last commit times their size, as SQLite's file format says: the file's header has it as of the last checkpoint, and
/// every frame of the log that ends a commit as of that commit.
fn sqlite_bytes(file: &Path) -> Result<u64, Fault> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mut head = [0; 32];
    fs::File::open(file)?.read_exact(&mut head)?;
    // 1 stands for 65,536, which has no room in two bytes.
    let page = if head[16..18] == [0, 1] { 65_536 } else { number(&head[16..18]) };
    let mut pages = number(&head[28..32]);
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = fs::read(log).unwrap_or_default();
    if let Some((header, frames)) = log.split_at_checked(32) {
        // Frames of an earlier use of the log have another salt.
        let own = frames.chunks_exact(24 + usize::try_from(page)?).take_while(|frame| frame[8..16] == header[16..24]);
        pages = own.map(|frame| number(&frame[4..8])).filter(|pages| *pages > 0).last().unwrap_or(pages);
    }
    Ok(pages * page)
}

/// Builds the mint of this very tree with its release profile, and says where the program is.
fn build() -> Result<PathBuf, Fault> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "-p", "farthing-mint", "--bin", "farthing-mint", "--message-format=json-render-diagnostics"];
    let output = Command::new(cargo).args(arguments).current_dir(workspace).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("farthing-mint does not build".into());
    }
    let built = String::from_utf8(output.stdout)?;
    let messages = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executable = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    executable.ok_or_else(|| "cargo named no program".into())
}
