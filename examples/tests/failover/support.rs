//! A world of files in a folder of its own, and the built binary that is run on it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use mantissa_mr_core::cell::{Cell, CellName, CellStore, FileCells};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;
use test_support::program::{self, words};
pub(crate) use test_support::program::{Running, Said, until};

/// The example's program.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| program::example(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "failover"))
}

/// Two regions and quick timings: what a move waits for is that gates shut, and, if asked for, that capacity starts.
const DEPLOYMENT: &str = r#"
name = "demo"
strategy = "STRATEGY"
preferred = "us-east-1"
regions = [
    { name = "us-east-1", provider = "simulated" },
    { name = "us-west-2", provider = "simulated" },
]
witness = { kind = "files", region = "us-east-2" }
vantages = [
    { name = "virginia", failure-domain = "us-east-1" },
    { name = "oregon", failure-domain = "us-west-2" },
    { name = "ohio", failure-domain = "us-east-2" },
]

[policy]
automatic = "AUTOMATIC"
gate = { trust = "700ms", write-deadline = "100ms" }
detection = { interval = "500ms", probe-deadline = "400ms", failures = 3, recoveries = 2 }

[policy.timing]
lease = "1500ms"
beat = "300ms"
observe = "500ms"
call-deadline = "2s"
fence-deadline = "1s"

[[groups]]
name = "logs"
tier = { order = 2, rpo = "15m", rto = "15m", strategy = "active-passive", hold = "500ms" }
stores = [{ name = "state", kind = "file-store", settings = { lag = "0s", promotion = "50ms" } }]
routers = [{ name = "traffic", kind = "file-router", settings = { convergence = "0s" } }]
scalers = [{ name = "workers", kind = "file-scaler", settings = { start = "START" } }]
checks = [{ name = "api", kind = "file-check" }]
"#;

/// A world in a temporary folder.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    /// A folder with a configuration, in which nothing has been made yet.
    pub(crate) fn empty() -> Self {
        Self::with("active-passive", "off")
    }

    pub(crate) fn with(strategy: &str, automatic: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = DEPLOYMENT.replace("STRATEGY", strategy).replace("AUTOMATIC", automatic);
        let text = text.replace("START", "0s");
        std::fs::write(folder.path().join("quick.toml"), text).unwrap();
        Self { folder }
    }

    /// A world after `init`.
    pub(crate) fn new() -> Self {
        Self::empty().made()
    }

    /// A world in which moves take long enough for people to do something meanwhile.
    pub(crate) fn slow() -> Self {
        let world = Self::empty();
        let text = std::fs::read_to_string(world.path("quick.toml")).unwrap();
        std::fs::write(world.path("quick.toml"), text.replace("start = \"0s\"", "start = \"4s\"")).unwrap();
        world.made()
    }

    pub(crate) fn made(self) -> Self {
        self.run("init").code(0);
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("mantissa-world")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path());
        command.env_remove("RUST_LOG").args(["--config", "quick.toml"]).args(words(line));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, line: &str) -> Said {
        self.finish(self.spawn(line))
    }

    /// The same with this in the environment.
    pub(crate) fn run_in(&self, environment: &[(&str, &str)], line: &str) -> Said {
        let mut command = self.command(line);
        command.envs(environment.iter().copied());
        Running::start(command, line).said()
    }

    /// Begins a command.
    pub(crate) fn spawn(&self, line: &str) -> Running {
        Running::start(self.command(line), line)
    }

    /// Runs a command at a terminal, where somebody types a line.
    pub(crate) fn run_at_a_terminal(&self, line: &str, types: &str) -> Said {
        let mut ours = std::fs::File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = std::fs::File::options().read(true).write(true).open(name).unwrap();
        let mut command = self.command(line);
        command.stdin(theirs.try_clone().unwrap()).stderr(theirs).stdout(Stdio::piped());
        let running = Running::of(command.spawn().unwrap(), line);
        drop(command); // With it goes our last hold of their side.
        // It waits there until it is read.
        writeln!(ours, "{types}").unwrap();
        let reader = std::thread::spawn(move || {
            let mut shown = Vec::new();
            // The end is an error: the other side is gone.
            let _ = ours.read_to_end(&mut shown);
            String::from_utf8_lossy(&shown).into_owned()
        });
        let mut said = running.said();
        said.err = reader.join().unwrap();
        said
    }

    pub(crate) fn finish(&self, running: Running) -> Said {
        running.said()
    }

    /// Takes a region down, or up.
    pub(crate) fn down(&self, place: &str, down: bool) {
        let file = self.root().join(place).join("DOWN");
        if down { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }

    /// How many slots the journal has.
    pub(crate) fn slots(&self) -> usize {
        let cells = std::fs::read_dir(self.root().join("witness/cells")).unwrap();
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        cells.map(name).filter(|name| name.contains("journal")).count()
    }

    /// Waits until the journal has so many slots, or the command is over.
    pub(crate) fn wait_for_slots(&self, slots: usize, running: &mut Running) {
        until(&format!("{slots} slots"), || self.slots() >= slots || running.is_over());
    }

    /// What a cell holds: without a command, so that nothing else is looked at.
    pub(crate) fn cell(&self, name: &str) -> Option<Cell> {
        let name = CellName::try_from(name).unwrap();
        self.on_cells(async |cells| cells.load(&name).await.unwrap())
    }

    /// Does something to the cells.
    pub(crate) fn on_cells<T>(&self, work: impl AsyncFnOnce(FileCells) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = self.root().join("witness/cells");
        runtime.block_on(async { work(FileCells::open(folder).await.unwrap()).await })
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> Value {
        serde_json::from_slice(&self.cell("demo/logs/ledger").unwrap().value).unwrap()
    }

    /// What `status` says, as data.
    pub(crate) fn status(&self) -> Value {
        self.run("--json status").code(0).json()["groups"][0].clone()
    }

    /// Everything that two ways to the same end must agree on.
    pub(crate) fn end_state(&self) -> Value {
        let status = self.status();
        let mut routing = status["routers"]["traffic"].clone();
        routing.as_object_mut().unwrap().remove("version");
        let role = |region: &str| status["stores"]["state"]["replicas"][region]["role"].clone();
        let capacity = |index: usize| status["capacities"][index]["capacity"]["requested"].clone();
        serde_json::json!({
            "admissions": status["ledger"]["admissions"],
            "execution": status["ledger"]["execution"],
            "outcome": status["ledger"]["ended"]["outcome"],
            "unreconciled": status["ledger"]["ended"]["unreconciled"],
            "generation": status["ledger"]["generation"],
            "orders": status["ledger"]["orders"],
            "holder": status["ledger"]["lease"]["holder"],
            "routing": routing,
            "roles": [role("us-east-1"), role("us-west-2")],
            "capacity": [capacity(0), capacity(1)],
        })
    }

    /// Every file of the world with its content.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.clone(), std::fs::read(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}
