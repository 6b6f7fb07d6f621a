//! A real PostgreSQL for tests: in a directory of its own, on a free port of 127.0.0.1, one a test binary, one database a test.
//!
//! It ends with the process that started it, however that ends: it is watched by a shell that waits for the end of its input.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

/// What no log may hold.
pub const PASSWORD: &str = "farthing-test-password";

/// $1: where the programs are, $2: the port, $3: the password.
const SCRIPT: &str = r#"
set -e
cd /
dir=$(mktemp -d "${TMPDIR:-/tmp}/farthing-postgres.XXXXXX")
printf '%s' "$3" > "$dir/password"
"$1/initdb" -D "$dir/data" -U farthing -E UTF8 --no-locale --auth=scram-sha-256 --pwfile="$dir/password" >/dev/null
"$1/postgres" -D "$dir/data" -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$dir" -c max_connections=200 \
    -c log_destination=stderr >"$dir/log" 2>&1 &
server=$!
echo started
read -r _ || true
kill -INT "$server" 2>/dev/null || true
wait "$server" || true
rm -rf "$dir"
"#;

/// A server that runs.
pub struct Server {
    port: u16,
    /// Its input is open for as long as this process lives.
    _watch: Child,
}

static SERVER: OnceCell<Option<Server>> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The connection string of an empty database; `None`, said aloud, where PostgreSQL is not installed.
///
/// # Panics
/// If it is not installed and `FARTHING_TEST_REQUIRE_ALL=1` is set.
pub async fn database() -> Option<String> {
    let server = SERVER.get_or_init(start).await.as_ref()?;
    let name = format!("mint{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Some(server.url(&name))
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgres://farthing:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }
}

/// The newest installation.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists() && path.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

fn shell(programs: &Path, port: u16) -> Command {
    let arguments = ["sh", "-c", SCRIPT, "sh", programs.to_str().unwrap(), &port.to_string(), PASSWORD].map(str::to_owned);
    // PostgreSQL refuses to run as root.
    if rustix::process::geteuid().is_root() {
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = if known.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" };
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--"]).args(arguments);
        return command;
    }
    let mut command = Command::new("sh");
    command.args(&arguments[1..]);
    command
}

async fn start() -> Option<Server> {
    let Some(programs) = programs() else {
        assert!(
            std::env::var("FARTHING_TEST_REQUIRE_ALL").as_deref() != Ok("1"),
            "PostgreSQL is not installed: Debian's package postgresql"
        );
        eprintln!("SKIPPED: PostgreSQL is not installed (Debian's package postgresql)");
        return None;
    };
    for _ in 0..3 {
        // Below the ports that the system gives to connections: what is free stays so until the server has it.
        let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..32_768_u16));
        let port = ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
        let mut watch = shell(&programs, port).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "started\n", "initdb failed");
        let server = Server { port, _watch: watch };
        for _ in 0..600 {
            if PgConnection::connect(&server.url("postgres")).await.is_ok() {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    panic!("PostgreSQL does not start");
}
