//! Programs run as people run them: one process per command, and what it said.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing takes this long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program of an example of a package in the workspace: `cargo test` builds it beside the test, unless it is told to
/// build that test only. Built here if it is not there, or older than what it is made of.
///
/// `folder` and `package` are the package's `CARGO_MANIFEST_DIR` and `CARGO_PKG_NAME`.
///
/// # Panics
/// It cannot be built.
pub fn example(folder: &str, package: &str, name: &str) -> PathBuf {
    // target/<profile>/deps/<test>-<hash> -> target/<profile>
    let test = std::env::current_exe().expect("a test has a file");
    let profile = test.parent().and_then(Path::parent).expect("a test is built into target/<profile>/deps");
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let sources = [name, &format!("{name}.rs"), "../mantissa-mr-core/src", "../mantissa-mr-aws/src"];
    let sources = sources.map(|path| Path::new(folder).join(path));
    if changed(&program).is_none_or(|built| sources.iter().any(|source| newest(source) > Some(built))) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", package, "--example", name]).current_dir(folder);
        build.arg("--target-dir").arg(profile.parent().expect("target/<profile>"));
        match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => {}
            Some(name) => _ = build.args(["--profile", name]),
        }
        assert!(build.status().expect("cargo runs").success(), "the example {name} cannot be built");
    }
    program
}

fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|data| data.modified()).ok()
}

/// When a file was changed, or the newest one under a folder.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return changed(path);
    }
    std::fs::read_dir(path).ok()?.filter_map(|entry| newest(&entry.ok()?.path())).max()
}

/// The words of a line, `'` around those with blanks.
pub fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// Waits until something holds.
///
/// # Panics
/// It does not for a minute.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// Sees that it ended with this code.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Sees that a text is in what it said, wherever it broke its lines.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = flat(&format!("{} {}", self.out, self.err));
        assert!(all.contains(text), "`{text}` is not in:\n{}\n{}", self.out, self.err);
        self
    }

    /// The one document on the standard output.
    ///
    /// # Panics
    /// It is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.out, self.err))
    }
}

/// A command that was begun; killed if it is forgotten.
#[derive(Debug)]
pub struct Running {
    line: String,
    process: Process,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Option<JoinHandle<Vec<u8>>>,
}

/// Kills a command with SIGKILL, from any thread; one that is over is let alone.
#[derive(Clone, Debug)]
pub struct Killer(Process);

#[derive(Clone, Debug)]
struct Process(Arc<Mutex<Child>>);

impl Process {
    fn lock(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Option<ExitStatus> {
        self.lock().try_wait().expect("a child can be waited for")
    }

    fn kill(&self) -> ExitStatus {
        let mut child = self.lock();
        // Of one that was waited for, the system's number may be somebody else's by now: then this does nothing.
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for")
    }
}

impl Killer {
    /// Kills it; when this returns it is dead.
    pub fn kill(&self) {
        self.0.kill();
    }
}

impl Running {
    /// Begins a command; `line` names it where it is talked about.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(mut command: Command, line: &str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::of(command.spawn().expect("the program starts"), line)
    }

    /// A command that was begun already.
    pub fn of(mut child: Child, line: &str) -> Self {
        let (out, err) = (child.stdout.take().map(read), child.stderr.take().map(read));
        Self { line: line.to_owned(), process: Process(Arc::new(Mutex::new(child))), out, err }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.process.status().is_some()
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let mut child = self.process.lock();
        if child.try_wait().is_ok_and(|status| status.is_none()) {
            kill_process(Pid::from_child(&child), Signal::INT).expect("a child can be interrupted");
        }
    }

    /// Something that kills it later.
    pub fn killer(&self) -> Killer {
        Killer(self.process.clone())
    }

    /// `kill -9`.
    pub fn kill(self) -> ExitStatus {
        self.process.kill()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within a minute.
    #[track_caller]
    pub fn said(self) -> Said {
        self.said_within(PATIENCE)
    }

    /// Waits for its end for so long.
    ///
    /// # Panics
    /// It does not end.
    #[track_caller]
    pub fn said_within(mut self, patience: Duration) -> Said {
        let began = Instant::now();
        let status = loop {
            match self.process.status() {
                Some(status) => break Some(status),
                None if began.elapsed() > patience => break None,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let code = status.unwrap_or_else(|| self.process.kill()).code().unwrap_or(-1);
        let text = |reader: Option<JoinHandle<Vec<u8>>>| {
            let bytes = reader.map(|reader| reader.join().unwrap_or_default()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let said = Said { code, out: text(self.out.take()), err: text(self.err.take()) };
        assert!(status.is_some(), "`{}` hangs:\n{}\n{}", self.line, said.out, said.err);
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill();
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
