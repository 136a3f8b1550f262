//! A process that dies with the one that started it, whatever happens to that.
//!
//! Between the two runs `emulators/supervise.py`, which kills the process when our end of its standard
//! input closes. The system closes it even if we are killed.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
};

const SUPERVISOR: &str = include_str!("../emulators/supervise.py");

pub(crate) struct Supervised {
    pipes: Mutex<Pipes>,
    /// Made and removed by the supervisor: the process's log and its temporary files.
    scratch: PathBuf,
}

struct Pipes {
    supervisor: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What a supervisor can be told to do with its process.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Pause,
    Resume,
    Kill,
}

impl Supervised {
    /// Runs `arguments` with only these environment variables, plus the search path.
    pub(crate) fn start(python: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> io::Result<Self> {
        let mut supervisor = Command::new(python)
            .args(["-I", "-c", SUPERVISOR])
            .arg(python)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", std::env::temp_dir())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = supervisor.stdin.take();
        let answers = BufReader::new(supervisor.stdout.take().expect("stdout was piped"));
        let mut pipes = Pipes { supervisor, orders, answers };
        let scratch = PathBuf::from(pipes.read()?);
        Ok(Self { pipes: Mutex::new(pipes), scratch })
    }

    /// Whether the process still runs (a paused one does).
    pub(crate) fn alive(&self) -> io::Result<bool> {
        Ok(self.ask("alive")? == "yes")
    }

    /// Carries out the order and returns when it has taken effect. Does nothing to a dead process.
    pub(crate) fn order(&self, order: Order) -> io::Result<()> {
        self.ask(match order {
            Order::Pause => "pause",
            Order::Resume => "resume",
            Order::Kill => "kill",
        })
        .map(drop)
    }

    /// What the process has printed.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.scratch.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn ask(&self, order: &str) -> io::Result<String> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &mut pipes.orders {
            writeln!(orders, "{order}")?;
        }
        pipes.read()
    }
}

impl Pipes {
    fn read(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the supervisor ended unexpectedly"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}
