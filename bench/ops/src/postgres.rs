//! A real PostgreSQL on a temporary directory and port, with its durability left on.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::Fault;
use crate::mint::{Stat, free_port};

const NAME: &str = "farthing";

/// A server, killed when dropped.
pub struct Postgres {
    programs: PathBuf,
    directory: TempDir,
    port: u16,
    /// Who runs it: PostgreSQL refuses root.
    owner: Option<(u32, u32)>,
    child: Option<Child>,
}

impl Postgres {
    /// Finds the newest installed version, makes a cluster and a database, and starts it.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub fn new() -> Result<Self, Fault> {
        let directory = TempDir::new()?;
        let owner = (fs::metadata("/proc/self")?.uid() == 0).then(postgres_user).transpose()?;
        if let Some((user, group)) = owner {
            chown(directory.path(), Some(user), Some(group))?;
        }
        let mut server = Self { programs: programs()?, directory, port: free_port()?, owner, child: None };
        let data = server.data();
        run(server.command("initdb").args(["--auth=trust", "--encoding=UTF8", "--no-locale", "-U", NAME, "-D"]).arg(data))?;
        server.start()?;
        let port = server.port.to_string();
        run(server.command("createdb").args(["-h", "127.0.0.1", "-U", NAME, "-p", &port, NAME]))?;
        Ok(server)
    }

    /// The connection URL.
    pub fn url(&self) -> String {
        format!("postgres://{NAME}@127.0.0.1:{}/{NAME}", self.port)
    }

    /// Starts it, after a crash too, and waits until it takes connections.
    ///
    /// # Errors
    /// It does not within a minute.
    pub fn start(&mut self) -> Result<(), Fault> {
        let port = self.port.to_string();
        for _ in 0..600 {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => true,
            };
            if ended {
                // The processes of a killed server may hold its memory for a moment: the next try finds it free.
                let log = fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log"))?;
                let (data, sockets) = (self.data(), self.directory.path().to_path_buf());
                let mut command = self.command("postgres");
                command.args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-D"]).arg(data).arg("-k").arg(sockets);
                self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn()?);
            }
            std::thread::sleep(Duration::from_millis(100));
            let asked = self.command("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port]).status()?;
            if asked.success() {
                return Ok(());
            }
        }
        Err("PostgreSQL does not start".into())
    }

    /// Ends it at once: SIGKILL, or an immediate shutdown, which also leaves recovery to the next start.
    ///
    /// # Errors
    /// It was not running.
    pub fn crash(&mut self, gently: bool) -> Result<(), Fault> {
        let mut child = self.child.take().ok_or("PostgreSQL is not running")?;
        if gently {
            run(Command::new("kill").args(["-QUIT", &child.id().to_string()]))?;
        } else {
            child.kill()?;
        }
        child.wait()?;
        Ok(())
    }

    /// Size of the database in bytes.
    ///
    /// # Errors
    /// It does not answer.
    pub fn size(&self) -> Result<u64, Fault> {
        let port = self.port.to_string();
        let query = "SELECT pg_database_size(current_database())";
        let answer = run(self.command("psql").args(["-h", "127.0.0.1", "-U", NAME, "-p", &port, "-Atc", query, NAME]))?;
        Ok(answer.trim().parse()?)
    }

    /// Processor time of the server and of its processes that run now.
    ///
    /// # Errors
    /// It does not run.
    pub fn cpu(&self) -> Result<Duration, Fault> {
        let server = self.child.as_ref().ok_or("PostgreSQL is not running")?.id();
        let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // One that ends meanwhile is not counted.
        let own = processes.filter(|process| *process != server).filter_map(|process| Stat::of(process).ok());
        Ok(Stat::of(server)?.time + own.filter(|stat| stat.parent == server).map(|stat| stat.time).sum::<Duration>())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.directory.path());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            drop(self.crash(true));
        }
    }
}

fn programs() -> Result<PathBuf, Fault> {
    let missing = "no PostgreSQL below /usr/lib/postgresql: install Debian's package postgresql";
    let versions = fs::read_dir("/usr/lib/postgresql").map_err(|_| missing)?;
    let versions = versions.flatten().filter(|entry| entry.path().join("bin/initdb").exists());
    let number = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0);
    Ok(versions.max_by_key(number).ok_or(missing)?.path().join("bin"))
}

/// User and group of the account that Debian's package makes.
fn postgres_user() -> Result<(u32, u32), Fault> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    let line = accounts.lines().find(|line| line.starts_with("postgres:")).ok_or("no account postgres")?;
    let fields: Vec<&str> = line.split(':').collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or_default().parse::<u32>();
    Ok((field(2)?, field(3)?))
}

/// Runs a program to its end; returns what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String, Fault> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let name = command.get_program().to_string_lossy().into_owned();
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
