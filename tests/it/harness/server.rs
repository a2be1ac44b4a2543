//! A stanzad process: started on free ports, watched through its output, stopped one way or the other.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::PATIENCE;

/// The line that ends the start banner.
const READY: &str = "ready";

/// How to start a daemon.
pub struct Setup {
    directory: TempDir,
    config: String,
    workers: usize,
    environment: Vec<(String, PathBuf)>,
}

/// A running daemon. Killed when dropped.
pub struct Server {
    setup: Setup,
    child: Child,
    told: Told,
    banner: Vec<String>,
}

/// What a process has written, line by line, as it comes.
#[derive(Clone)]
pub struct Told {
    whose: &'static str,
    lines: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Default)]
struct Lines {
    list: Vec<String>,
    open: usize,
}

/// A daemon that has ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Told {
    /// For a process of that name.
    pub fn new(whose: &'static str) -> Self {
        Self {
            whose,
            lines: Arc::default(),
        }
    }

    /// Takes the lines of `stream` in, aside.
    pub fn follow(&self, stream: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.lines);
        lines.0.lock().open += 1;
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { break };
                lines.0.lock().list.push(line);
                lines.1.notify_all();
            }
            lines.0.lock().open -= 1;
            lines.1.notify_all();
        });
    }

    /// How many lines there are now: a place for [`Told::wait_from`].
    pub fn place(&self) -> usize {
        self.lines.0.lock().list.len()
    }

    /// Every line so far.
    pub fn all(&self) -> Vec<String> {
        self.lines.0.lock().list.clone()
    }

    /// The first line that `wanted` accepts, past ones included.
    pub fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_from(0, what, wanted).1
    }

    /// The first line from `place` on that `wanted` accepts, and the place behind it.
    pub fn wait_from(
        &self,
        place: usize,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> (usize, String) {
        let deadline = Instant::now() + PATIENCE;
        let (lines, changed) = &*self.lines;
        let mut lines = lines.lock();
        let mut seen = place;
        loop {
            while let Some(line) = lines.list.get(seen) {
                seen += 1;
                if wanted(line) {
                    return (seen, line.clone());
                }
            }
            assert!(
                lines.open > 0,
                "{} ended without {what}:\n{}",
                self.whose,
                lines.list.join("\n")
            );
            let late = changed.wait_until(&mut lines, deadline).timed_out();
            assert!(
                !late || seen < lines.list.len(),
                "no {what} in {PATIENCE:?}; {} said:\n{}",
                self.whose,
                lines.list.join("\n")
            );
        }
    }

    /// Whether `line` comes before the process ends or [`PATIENCE`] does.
    fn reaches(&self, line: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let (lines, changed) = &*self.lines;
        let mut lines = lines.lock();
        loop {
            if lines.list.iter().any(|said| said == line) {
                return true;
            }
            if lines.open == 0 || changed.wait_until(&mut lines, deadline).timed_out() {
                return false;
            }
        }
    }

    /// Until the process has closed its output.
    pub fn wait_closed(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (lines, changed) = &*self.lines;
        let mut lines = lines.lock();
        while lines.open > 0 {
            let late = changed.wait_until(&mut lines, deadline).timed_out();
            assert!(!late, "the output of {} stays open", self.whose);
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A daemon that serves `localhost`, on two workers, with the scripts that ship.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            config: String::new(),
            workers: 2,
            environment: Vec::new(),
        }
    }

    /// How many workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// A path in the daemon's environment.
    pub fn env(mut self, name: &str, path: &Path) -> Self {
        self.environment.push((name.to_owned(), path.to_owned()));
        self
    }

    /// More configuration, behind the harness' own.
    pub fn config(mut self, text: &str) -> Self {
        self.config += text;
        self
    }

    /// The scripts of the repository, copied into this daemon's own directory, where they may be edited. Their budget is that
    /// of a debug build on a machine that does other things too; tests of budgets set their own.
    pub fn shipped_scripts(self) -> Self {
        copy_tree(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"),
            &self.scripts(),
        );
        self.config(
            "script_cpu_budget = 100\nscriptlet \"scriptlet\" {\n  script \"dialplan\" { source = \"dialplan\" }\n  script \"xmpp-presence\" { source = \"msys.xmpp.presence\" }\n  script \"chatstates\" { source = \"chatstates\" }\n  script \"bot\" { source = \"bot\" }\n  script \"fanout\" { source = \"fanout\" }\n}\n",
        )
    }

    /// Where everything is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The script directory.
    pub fn scripts(&self) -> PathBuf {
        self.directory().join("scripts")
    }

    /// The console's socket.
    pub fn socket(&self) -> PathBuf {
        self.data().join(stanzad::control::SOCKET_NAME)
    }

    fn text(&self) -> String {
        format!(
            r#"hostname = "localhost"
script_dir = "scripts"
Domain "localhost" {{ XMPP_Role = "server" }}
ThreadPool "default" {{ Concurrency = {workers} }}
xmpp {{}}
xmpp_listener {{
  AuthPlainParameters = [ uri = "store:" ]
  Listen "127.0.0.1:0" {{ tls = "required" }}
  Listen "127.0.0.2:0" {{ tls = "direct" }}
  Listen "127.0.0.3:0" {{ tls = "offered" }}
}}
control_listener {{ Listen "{socket}" {{}} }}
{more}"#,
            workers = self.workers,
            socket = stanzad::control::SOCKET_NAME,
            more = self.config,
        )
    }

    /// The command that would start it; for start-up mistakes.
    pub fn command(&self) -> Command {
        fs::create_dir_all(self.scripts()).unwrap();
        let config = self.directory().join("stanzad.conf");
        fs::write(&config, self.text()).unwrap();
        let mut command = stanzad();
        command
            .current_dir(self.directory())
            .arg("-c")
            .arg(&config)
            .arg("--data")
            .arg(self.data())
            .envs(self.environment.iter().cloned());
        command
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Server {
        let (child, told, banner) = spawn(&self);
        Server {
            setup: self,
            child,
            told,
            banner,
        }
    }
}

/// The daemon's program, without a standard input.
pub fn stanzad() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stanzad"));
    command.stdin(Stdio::null());
    command
}

fn spawn(setup: &Setup) -> (Child, Told, Vec<String>) {
    let mut child = setup
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (told, said) = (Told::new("the daemon"), Told::new("the daemon"));
    told.follow(child.stderr.take().unwrap());
    said.follow(child.stdout.take().unwrap());
    if !said.reaches(READY) {
        let _ = child.kill();
        let status = child.wait().unwrap();
        told.wait_closed();
        panic!(
            "stanzad is not ready ({status}):\n{}\n{}",
            said.all().join("\n"),
            told.all().join("\n")
        );
    }
    let banner = said.all();
    (child, told, banner)
}

impl Server {
    /// Starts one as [`Setup::new`] says, with the scripts that ship.
    pub fn start() -> Self {
        Setup::new().shipped_scripts().start()
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Its log.
    pub fn log(&self) -> &Told {
        &self.told
    }

    /// What it printed when it was ready.
    pub fn banner(&self) -> String {
        self.banner.join("\n")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where clients connect and begin with STARTTLS, which is required.
    pub fn starttls(&self) -> SocketAddr {
        self.listening("127.0.0.1:")
    }

    /// Where clients connect with TLS from the first byte.
    pub fn direct(&self) -> SocketAddr {
        self.listening("127.0.0.2:")
    }

    /// Where TLS is offered, not required.
    pub fn plain(&self) -> SocketAddr {
        self.listening("127.0.0.3:")
    }

    /// The address it listens on that starts so.
    pub fn listening(&self, host: &str) -> SocketAddr {
        self.banner
            .iter()
            .flat_map(|line| line.split_whitespace())
            .find_map(|word| {
                word.starts_with(host)
                    .then(|| word.trim_end_matches(',').parse().ok())?
            })
            .unwrap_or_else(|| self.listening_by_summary(host))
    }

    /// The same of a socket that the banner only counts.
    fn listening_by_summary(&self, host: &str) -> SocketAddr {
        let ended = self.ctl(&["--json", "summary"]);
        let summary: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let sockets = summary["listening"].as_array().unwrap();
        sockets
            .iter()
            .filter_map(|socket| socket["address"].as_str())
            .find_map(|address| address.starts_with(host).then(|| address.parse().ok())?)
            .unwrap_or_else(|| panic!("no {host} in {summary}"))
    }

    /// Runs stanzactl against this daemon.
    pub fn ctl(&self, args: &[&str]) -> Ended {
        self.ctl_with_input(args, "")
    }

    /// Runs stanzactl with a standard input.
    pub fn ctl_with_input(&self, args: &[&str], input: &str) -> Ended {
        let mut child = self
            .ctl_command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A client that refuses at once does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// The command that runs stanzactl against this daemon.
    pub fn ctl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanzactl"));
        command
            .env_remove(stanzad::control::SOCKET_VARIABLE)
            .arg("--socket")
            .arg(self.setup.socket())
            .args(args);
        command
    }

    /// Makes users, each with the password `secret`.
    pub fn users(&self, names: &[&str]) -> &Self {
        for name in names {
            let jid = format!("{name}@localhost");
            let ended = self.ctl_with_input(&["user", "add", &jid, "--password-stdin"], "secret\n");
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
        self
    }

    /// Sends a signal by its number.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> Ended {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self) -> Ended {
        self.told.wait_closed();
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code(),
            stdout: self.banner(),
            stderr: self.told.all().join("\n"),
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data, after [`Server::kill`] or [`Server::wait`]. Its ports are others.
    pub fn restart(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "it still runs");
        (self.child, self.told, self.banner) = spawn(&self.setup);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.told.all().join("\n"));
        }
    }
}

impl Ended {
    /// What it said when it gave up: from the last `stanzad: ` or `stanzactl: ` at the start of a line on.
    pub fn message(&self) -> &str {
        ["stanzad: ", "stanzactl: "]
            .iter()
            .find_map(|name| {
                let behind_a_line = self.stderr.rfind(&format!("\n{name}")).map(|at| at + 1);
                behind_a_line.or_else(|| self.stderr.starts_with(name).then_some(0))
            })
            .map_or("", |at| &self.stderr[at..])
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Copies a directory and what is in it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
