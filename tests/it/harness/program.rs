//! A program that goes on while a test looks on: lines in, lines out.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::Ended;
use super::server::Told;

/// One that runs. Killed when dropped.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    /// What it has written to standard output.
    pub shown: Told,
}

impl Program {
    /// Starts it with pipes for everything.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = Told::new("the program");
        shown.follow(child.stdout.take().unwrap());
        Self {
            input: child.stdin.take(),
            child,
            shown,
        }
    }

    /// Its standard error among its lines, from now on; [`Program::end`] has nothing of it then.
    pub fn with_stderr(mut self) -> Self {
        self.shown.follow(self.child.stderr.take().unwrap());
        self
    }

    /// Types a line. A program that has ended does not read it.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        let _ = writeln!(input, "{line}");
    }

    /// The line with `text`, past ones included.
    pub fn sees(&self, text: &str) -> String {
        self.shown.wait(text, |line| line.contains(text))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Ends its input, and waits for its end.
    pub fn end(mut self) -> Ended {
        self.input.take();
        let mut stderr = String::new();
        if let Some(mut told) = self.child.stderr.take() {
            told.read_to_string(&mut stderr).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        self.shown.wait_closed();
        Ended {
            code,
            stdout: self.shown.all().join("\n"),
            stderr,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the program's lines:\n{}", self.shown.all().join("\n"));
        }
    }
}
