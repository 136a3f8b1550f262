//! What can be typed. Words are checked later, all at once, against the deployment: here they are only text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mantissa_mr_core::plan::Move;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 something failed, 2 bad input, 3 refused, 4 paused,
5 stuck (a step is overdue and waits for a person).

Without --config a small deployment is used that lives in a folder of files.";

/// Moves a service between regions, and shows how it stands.
#[derive(Debug, Parser)]
#[command(name = "failover", version, after_help = EXIT_CODES, max_term_width = 80)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The deployment (tfvars, TOML, JSON) and overlays
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// The group; needed only if there are several
    #[arg(long, global = true, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// The world of files
    #[arg(long, global = true, value_name = "DIR", default_value = "mantissa-world")]
    pub(crate) world: PathBuf,
    /// Where the cloud's API is, for an emulator
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Answer with one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the ledgers and set up replication; once
    Init(DryRun),
    /// Set up replication of every store (the guide's step 5)
    EnsureReplicated(DryRun),
    /// Show how everything stands; works with the ledger down
    Status,
    /// Make a plan, show it, and keep it in a file
    Plan(PlanArguments),
    /// Planned: both regions are up, nothing is lost
    Switchover(MoveArguments),
    /// Unplanned: the active region is gone or unfit
    Failover(MoveArguments),
    /// A switchover to the region that is preferred
    Failback(MoveArguments),
    /// Active-active: a region leaves the rotation
    Evacuate(MoveArguments),
    /// Active-active: a region comes back
    Rejoin(MoveArguments),
    /// A rehearsal of a move, carried out and marked as one
    Drill(DrillArguments),
    /// Carry out the plan that the controller proposes
    Approve(ApproveArguments),
    /// Go on with what is under way, also after a crash
    Resume(OrderArguments),
    /// Leave out a step of what is under way
    Skip(SkipArguments),
    /// Give up what is under way, before the point of no return
    Abort(OrderArguments),
    /// Begin no further step of what is under way
    Pause(OrderArguments),
    /// The last move was looked at: the cool-down ends
    Ack(OrderArguments),
    /// Show the journal, checked from its first slot
    History,
    /// Run a controller until Ctrl-C: automatic failover
    Run(RunArguments),
}

#[derive(Debug, Args)]
pub(crate) struct DryRun {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// switchover, failover, failback, evacuate or rejoin
    #[arg(value_name = "MOVE", hide_possible_values = true)]
    pub(crate) kind: MoveKind,
    /// Where to keep the plan
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Plan a rehearsal
    #[arg(long)]
    pub(crate) drill: bool,
    #[command(flatten)]
    pub(crate) wish: Wish,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArguments {
    /// switchover, failover, failback, evacuate or rejoin
    #[arg(value_name = "MOVE", hide_possible_values = true)]
    pub(crate) kind: MoveKind,
    #[command(flatten)]
    pub(crate) rest: MoveArguments,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArguments {
    /// Carry out this plan; a stale one is refused
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wish: Wish,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

/// What is to be moved, and what a person allows.
#[derive(Debug, Default, Args)]
pub(crate) struct Wish {
    /// The region to move to [default: the best]
    #[arg(long, value_name = "REGION")]
    pub(crate) to: Option<String>,
    /// The region to leave [default: the one that serves]
    #[arg(long, value_name = "REGION")]
    pub(crate) from: Option<String>,
    /// Allow data to be lost: 30s, 5m, unbounded
    #[arg(long, value_name = "TIME")]
    pub(crate) max_loss: Option<String>,
    /// Pass this guard over (may be given again)
    #[arg(long = "override", value_name = "GUARD")]
    pub(crate) overrides: Vec<String>,
    /// Overrides end then: 30m, a time [default: 1h]
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    #[command(flatten)]
    pub(crate) who: Who,
}

/// Who wants it, and why.
#[derive(Debug, Default, Args)]
pub(crate) struct Who {
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    pub(crate) approver: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Whether to go ahead.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Show the plan and what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ask nothing; may it lose data, say --max-loss too
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// The plan's hash, or its first eight digits or more
    #[arg(value_name = "HASH")]
    pub(crate) hash: String,
    /// Accept that so much may be lost: 30s, 5m, unbounded
    #[arg(long, value_name = "TIME")]
    pub(crate) max_loss: Option<String>,
    #[command(flatten)]
    pub(crate) who: Who,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct SkipArguments {
    /// The step's name, as `status` shows it
    #[arg(value_name = "STEP")]
    pub(crate) step: String,
    #[command(flatten)]
    pub(crate) order: OrderArguments,
}

#[derive(Debug, Args)]
pub(crate) struct OrderArguments {
    #[command(flatten)]
    pub(crate) who: Who,
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The vantage to watch from [default: none]
    #[arg(long, value_name = "NAME")]
    pub(crate) vantage: Option<String>,
    /// The region that this process runs in
    #[arg(long, value_name = "REGION")]
    pub(crate) local_region: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MoveKind {
    Switchover,
    Failover,
    Failback,
    Evacuate,
    Rejoin,
}

impl From<MoveKind> for Move {
    fn from(kind: MoveKind) -> Self {
        match kind {
            MoveKind::Switchover => Self::Switchover,
            MoveKind::Failover => Self::Failover,
            MoveKind::Failback => Self::Failback,
            MoveKind::Evacuate => Self::Evacuate,
            MoveKind::Rejoin => Self::Rejoin,
        }
    }
}
