//! A deployment on the emulator, and the built binary that is run on it through the proxy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::program::{self, Running, Said, words};
use test_support::{Emulator, Proxy};
use tokio::runtime::Runtime;

use crate::account::{Account, Answers, EAST, FUNCTION, LEDGER, RECORD, TABLE, WEST, WITNESS};

/// The guide's own text.
const TFVARS: &str =
    include_str!("../../../mantissa-mr-core/tests/config/guide-aws/1-prod-multi-region.tfvars");

/// What the tfvars do not name, with timings so short that what a move waits for are the clients, if anything.
const OVERLAY: &str = r#"
[witness]
kind = "dynamodb"
region = "{witness}"
settings.table = "{ledger}"

[policy]
automatic = "off"
gate = { trust = "400ms", write-deadline = "100ms" }

[policy.timing]
lease = "1200ms"
beat = "400ms"
observe = "1s"
call-deadline = "{deadline}"
fence-deadline = "1s"

[[groups]]
name = "detection"
tier = "important"

[[groups.stores]]
name = "state"
kind = "dynamodb-global-table"
settings = { table = "{table}", canary = {canary} }

[[groups.routers]]
name = "api"
kind = "route53-failover"
failover-unit = "{record}"
settings = { zone = "{zone}", record = "{record}", check-failures = 1 }
regions.{east} = { set-identifier = "primary", bucket = "{east-bucket}" }
regions.{west} = { set-identifier = "secondary", bucket = "{west-bucket}" }

[[groups.scalers]]
name = "engine"
kind = "lambda"
settings = { functions = ["{function}"], full = 10, memory = 1024, keep-unreserved = 0 }

[[groups.checks]]
name = "table"
kind = "dynamodb-table"
settings.table = "{table}"
"#;

/// What differs from test to test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) answers: Answers,
    /// Whether the table's lag is measured.
    pub(crate) canary: bool,
    pub(crate) call_deadline: &'static str,
}

fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| program::example(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "failover"))
}

/// An account, a proxy in front of it, and a folder with the configuration.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    account: Account,
    folder: TempDir,
    runtime: Runtime,
}

impl World {
    /// A world in which nothing was made by the binary yet.
    pub(crate) fn empty(emulator: &Emulator, shape: Shape) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (endpoint, number) = (emulator.endpoint(), emulator.fresh_account());
        let account = runtime.block_on(Account::create(&endpoint, &number, shape.answers));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("prod-multi-region.tfvars"), TFVARS).unwrap();
        std::fs::write(folder.path().join("overlay.toml"), overlay(&account, shape)).unwrap();
        let proxy = Proxy::start(&endpoint).unwrap();
        Self { proxy, account, folder, runtime }
    }

    /// A world after `init`.
    pub(crate) fn new(emulator: &Emulator, shape: Shape) -> Self {
        // Setting a world up is the most work for the emulator: all at once, they would wait for each other beyond any deadline.
        static TURNS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let turn = &TURNS[NEXT.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let world = Self::empty(emulator, shape);
        world.insist("init");
        world
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path()).env_clear();
        command.env("AWS_ACCESS_KEY_ID", &self.account.number).env("AWS_SECRET_ACCESS_KEY", "secret");
        command.args(["--config", "prod-multi-region.tfvars", "--config", "overlay.toml"]);
        command.args(["--endpoint-url", &self.proxy.endpoint()]).args(words(line));
        command
    }

    /// Begins a command.
    pub(crate) fn spawn(&self, line: &str) -> Running {
        Running::start(self.command(line), line)
    }

    /// Runs a command to its end; it may wait for clients.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Said {
        self.spawn(line).said_within(crate::killed::PATIENCE)
    }

    /// Runs a command that has begun nothing if it fails, a few times if need be: where many worlds share a machine, an
    /// answer may come too late.
    #[track_caller]
    pub(crate) fn insist(&self, line: &str) -> Said {
        let mut tries = (0..3).map(|_| self.run(line));
        tries.find(|said| said.code == 0).unwrap_or_else(|| self.run(line).code(0))
    }

    /// Does something with the account, past the proxy.
    pub(crate) fn aside<T>(&self, work: impl AsyncFnOnce(&Account) -> T) -> T {
        self.runtime.block_on(work(&self.account))
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> Value {
        self.aside(async |account| account.cell("mantissa-log-prod/detection/ledger").await)
    }

    /// Everything that two ways to the same end must agree on, in words that are the same in every account.
    pub(crate) fn end_state(&self) -> Value {
        let ledger = self.ledger();
        let ended = &ledger["ended"];
        let cloud = self.aside(async |account| {
            json!({
                "records": account.records().await,
                "objects": [account.objects(EAST).await, account.objects(WEST).await],
                "functions": [account.function(EAST).await, account.function(WEST).await],
                "tables": [account.table(EAST).await, account.table(WEST).await],
            })
        });
        json!({
            "admissions": ledger["admissions"],
            "execution": ledger["execution"],
            "ended": [ended["kind"], ended["outcome"], ended["region"], ended["unreconciled"]],
            "generation": ledger["generation"],
            "orders": ledger["orders"],
            "holder": ledger["lease"]["holder"],
            "cloud": cloud,
        })
    }
}

fn overlay(account: &Account, shape: Shape) -> String {
    let (east_bucket, west_bucket) = (account.bucket(EAST), account.bucket(WEST));
    let canary = shape.canary.to_string();
    let values = [
        ("witness", WITNESS),
        ("ledger", LEDGER),
        ("deadline", shape.call_deadline),
        ("table", TABLE),
        ("canary", &canary),
        ("record", RECORD),
        ("zone", &account.zone),
        ("east", EAST),
        ("west", WEST),
        ("east-bucket", &east_bucket),
        ("west-bucket", &west_bucket),
        ("function", FUNCTION),
    ];
    values.iter().fold(OVERLAY.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}
