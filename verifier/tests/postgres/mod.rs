//! A PostgreSQL server of the test's own: a temporary directory, a free port of 127.0.0.1, gone when the test ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A running server.
pub struct Server {
    directory: PathBuf,
    process: Child,
    port: u16,
    databases: AtomicU32,
}

/// Debian keeps the server's programs out of `PATH`.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max()
}

/// The server refuses to run as root.
fn command(program: &Path, as_root: bool) -> Command {
    if !as_root {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

impl Server {
    /// Starts one; `None`, with a word about it, where none is installed.
    ///
    /// # Panics
    /// If there is none and `FARTHING_TEST_REQUIRE_ALL` is 1, or if it does not start.
    pub fn start() -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(
                std::env::var("FARTHING_TEST_REQUIRE_ALL").as_deref() != Ok("1"),
                "PostgreSQL is not installed, and all tests are required"
            );
            eprintln!("skipped: PostgreSQL is not installed (Debian: postgresql)");
            return None;
        };
        let as_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        // Not in a directory of root only: the server's user has to get there.
        let made = command(Path::new("mktemp"), as_root).args(["-d", "-t", "farthing-postgres.XXXXXXXX"]).output().unwrap();
        let directory = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
        let data = directory.join("data");
        let made = command(&bin.join("initdb"), as_root)
            .current_dir("/")
            .args(["--auth=trust", "--username=farthing", "--no-locale", "--encoding=UTF8", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Below the ports that the system gives to connections: what is free stays so until the server has it.
        let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..32_768_u16));
        let port = ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
        let process = command(&bin.join("postgres"), as_root)
            .current_dir("/")
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "max_connections=200", "-k", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { directory, process, port, databases: AtomicU32::new(0) };
        let begun = Instant::now();
        loop {
            let ready = Command::new(bin.join("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap();
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_mins(2), "PostgreSQL does not start: {ended:?}");
            if ready.success() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// An empty database's address.
    pub fn database(&self) -> String {
        let name = format!("verifier{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made =
            Command::new("createdb").args(["-h", "127.0.0.1", "-U", "farthing", "-p", &self.port.to_string(), &name]).status().unwrap();
        assert!(made.success(), "createdb");
        format!("postgres://farthing@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// Ends the server without a word to its clients.
    pub fn kill(&mut self) {
        // The process that was started may be `runuser`; the server's own id stands in its directory.
        let pid = std::fs::read_to_string(self.directory.join("data").join("postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
        }
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
