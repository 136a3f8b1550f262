//! What was typed, made into a task: everything that is wrong is found before anything is touched.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mantissa_mr_core::deployment::{Deployment, Provider, Strategy};
use mantissa_mr_core::guard::LossLimit;
use mantissa_mr_core::name::{GroupName, StepId};
use mantissa_mr_core::operator::Place;
use mantissa_mr_core::plan::{Move, MoveRequest, Plan};
use mantissa_mr_core::problem::{Location, Problem, Problems};

use crate::args::{Arguments, Command, Common, Consent, MoveArguments, OrderArguments, Who, Wish};
use crate::config;
use crate::words::{Words, by, why};

/// A checked command line.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) task: Task,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Task {
    Init { dry_run: bool },
    EnsureReplicated { dry_run: bool },
    Status(Vec<GroupName>),
    History(GroupName),
    Plan { group: GroupName, request: MoveRequest, output: Option<PathBuf> },
    Move { group: GroupName, wanted: Wanted, consent: Go },
    Order { group: GroupName, order: Asked, by: String, why: String, consent: Go },
    Run { groups: Vec<GroupName>, place: Place },
}

/// Where the plan of a move comes from.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// It is made now.
    Now(MoveRequest),
    /// It was made earlier.
    Saved(Box<Plan>),
}

/// What is asked of whoever carries out what is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Approve(String),
    Resume,
    Skip(StepId),
    Abort,
    Pause,
    Acknowledge,
}

/// Whether to go ahead.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Go {
    pub(crate) dry_run: bool,
    pub(crate) yes: bool,
    /// Somebody can be asked.
    pub(crate) terminal: bool,
    /// What may be lost by a plan that somebody else made.
    pub(crate) max_loss: Option<LossLimit>,
}

impl Input {
    /// Checks everything that was typed.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, Problems> {
        let (deployment, mut problems) = match config::load(&arguments.common.config) {
            Ok(deployment) => (Some(deployment), Vec::new()),
            Err(problems) => (None, problems.into_vec()),
        };
        let mut words = Words::new(deployment.as_ref());
        let task = Reader { words: &mut words, common: &arguments.common, deployment: deployment.as_ref() }
            .task(&arguments.command);
        problems.extend(words.problems);
        Problems::check(problems)?;
        match (deployment, task) {
            (Some(deployment), Some(task)) => Ok(Self { deployment: Arc::new(deployment), task }),
            _ => Err(Problem::new("", "the command cannot be understood").into()),
        }
    }
}

struct Reader<'a, 'b> {
    words: &'b mut Words<'a>,
    common: &'b Common,
    deployment: Option<&'a Deployment>,
}

impl Reader<'_, '_> {
    fn task(&mut self, command: &Command) -> Option<Task> {
        let (kind, arguments) = match command {
            Command::Init(run) => return Some(Task::Init { dry_run: run.dry_run }),
            Command::EnsureReplicated(run) => return Some(Task::EnsureReplicated { dry_run: run.dry_run }),
            Command::Status => return Some(Task::Status(self.groups())),
            Command::History => return self.group().map(Task::History),
            Command::Plan(plan) => {
                let request = self.request(plan.kind.into(), plan.drill, &plan.wish);
                let output = plan.output.clone();
                return Some(Task::Plan { group: self.group()?, request, output });
            }
            Command::Run(run) => {
                let vantage = self.words.vantage(run.vantage.as_deref());
                let local_region = self.words.region("--local-region", run.local_region.as_deref());
                let place = Place { vantage, local_region };
                return Some(Task::Run { groups: self.groups(), place });
            }
            Command::Approve(approve) => {
                let order = Asked::Approve(self.hash(&approve.hash));
                let max_loss = self.words.accepted_loss(approve.max_loss.as_deref(), &approve.who);
                let consent = Go { max_loss, ..self.go(&approve.consent) };
                return self.order(order, &approve.who, consent);
            }
            Command::Skip(skip) => {
                let step = StepId::try_from(skip.step.clone());
                let step = step.map_err(|error| self.words.wrong("STEP", error.to_string())).ok();
                return self.plain_order(step.map(Asked::Skip), &skip.order);
            }
            Command::Resume(order) => return self.plain_order(Some(Asked::Resume), order),
            Command::Abort(order) => return self.plain_order(Some(Asked::Abort), order),
            Command::Pause(order) => return self.plain_order(Some(Asked::Pause), order),
            Command::Ack(order) => return self.plain_order(Some(Asked::Acknowledge), order),
            Command::Drill(drill) => return self.drill(drill.kind.into(), &drill.rest),
            Command::Switchover(rest) => (Move::Switchover, rest),
            Command::Failover(rest) => (Move::Failover, rest),
            Command::Failback(rest) => (Move::Failback, rest),
            Command::Evacuate(rest) => (Move::Evacuate, rest),
            Command::Rejoin(rest) => (Move::Rejoin, rest),
        };
        self.movement(kind, false, arguments)
    }

    fn groups(&mut self) -> Vec<GroupName> {
        self.words.groups(self.common.group.as_deref())
    }

    fn group(&mut self) -> Option<GroupName> {
        self.words.one_group(self.common.group.as_deref())
    }

    fn go(&self, consent: &Consent) -> Go {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let terminal = terminal && !self.common.json;
        Go { dry_run: consent.dry_run, yes: consent.yes, terminal, max_loss: None }
    }

    /// Half of the moves are for deployments in which one region serves, half for those in which all do.
    fn fits_strategy(&mut self, kind: Move) {
        let Some(strategy) = self.deployment.map(|deployment| deployment.spec().strategy) else { return };
        let instead = match (strategy, kind) {
            (Strategy::ActivePassive, Move::Evacuate) => "failover or switchover",
            (Strategy::ActivePassive, Move::Rejoin) => "failback",
            (Strategy::ActiveActive, Move::Failback) => "rejoin",
            (Strategy::ActiveActive, Move::Failover | Move::Switchover) => "evacuate",
            _ => return,
        };
        self.words
            .wrong("MOVE", format!("{kind} is not for {strategy} deployments such as this: use {instead}"));
    }

    fn request(&mut self, kind: Move, drill: bool, wish: &Wish) -> MoveRequest {
        self.fits_strategy(kind);
        // At a terminal it is clear who answers for an override.
        let user = std::io::stdin().is_terminal().then(|| by(&wish.who));
        let approver = wish.who.approver.clone().or(user);
        MoveRequest {
            kind,
            from: self.words.region("--from", wish.from.as_deref()),
            to: self.words.region("--to", wish.to.as_deref()),
            drill,
            waivers: self.words.waivers(wish, approver.as_deref()),
            why: why(&wish.who),
        }
    }

    fn movement(&mut self, kind: Move, drill: bool, arguments: &MoveArguments) -> Option<Task> {
        let consent = self.go(&arguments.consent);
        if !consent.terminal && !consent.yes && !consent.dry_run {
            self.words.wrong("--yes", "there is no terminal to confirm the move at: say --yes, or --dry-run");
        }
        let request = self.request(kind, drill, &arguments.wish);
        let group = self.group();
        let wanted = match &arguments.plan {
            None => Wanted::Now(request),
            Some(file) => {
                let named = [&arguments.wish.to, &arguments.wish.from, &arguments.wish.max_loss];
                if named.iter().any(|word| word.is_some()) || !arguments.wish.overrides.is_empty() {
                    self.words.wrong("--plan", "a saved plan says itself where to move and what is allowed");
                }
                Wanted::Saved(Box::new(self.saved(file, kind, drill, group.as_ref())?))
            }
        };
        Some(Task::Move { group: group?, wanted, consent })
    }

    /// On real clouds only what loses nothing is rehearsed.
    fn drill(&mut self, kind: Move, arguments: &MoveArguments) -> Option<Task> {
        let mut regions = self.deployment.into_iter().flat_map(|deployment| &deployment.spec().regions);
        let real = regions.find(|region| region.provider != Provider::Simulated);
        if let Some(region) = real.filter(|_| !matches!(kind, Move::Switchover | Move::Failback)) {
            let message = format!(
                "{} is a real region of {}: only switchover and failback can be rehearsed there",
                region.name, region.provider
            );
            self.words.wrong("MOVE", message);
        }
        self.movement(kind, true, arguments)
    }

    fn saved(&mut self, file: &Path, kind: Move, drill: bool, group: Option<&GroupName>) -> Option<Plan> {
        let name = file.display().to_string();
        let read = std::fs::read(file).map_err(|error| format!("it cannot be read: {error}"));
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice::<Plan>(&bytes).map_err(|error| format!("it is no plan: {error}"))
        };
        let wrong = |words: &mut Words<'_>, message: String| {
            let location = Location { file: name.clone(), position: None };
            words.problems.push(Problem::new("", message).at(location));
        };
        let plan = read.and_then(parse).map_err(|message| wrong(self.words, message)).ok()?;
        if plan.kind != kind {
            wrong(self.words, format!("it is the plan of a {}, not of a {kind}", plan.kind));
        }
        if plan.drill != drill {
            let says = |drill| if drill { "a rehearsal" } else { "no rehearsal" };
            wrong(self.words, format!("it is {}, the command is {}", says(plan.drill), says(drill)));
        }
        if let Some(group) = group.filter(|group| plan.group != **group) {
            wrong(self.words, format!("it is a plan of group {}, not of {group}", plan.group));
        }
        Some(plan)
    }

    /// A plan's hash, or enough of its begin.
    fn hash(&mut self, word: &str) -> String {
        let digits = word.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        if !digits || !(8..=64).contains(&word.len()) {
            self.words.wrong("HASH", format!("`{word}` is not 8 to 64 lower-case hexadecimal digits"));
        }
        word.to_owned()
    }

    fn plain_order(&mut self, order: Option<Asked>, arguments: &OrderArguments) -> Option<Task> {
        let go = Go { dry_run: arguments.dry_run.dry_run, yes: true, ..Go::default() };
        self.order(order?, &arguments.who, go)
    }

    fn order(&mut self, order: Asked, who: &Who, consent: Go) -> Option<Task> {
        if matches!(order, Asked::Approve(_)) && !consent.terminal && !consent.yes && !consent.dry_run {
            self.words.wrong("--yes", "there is no terminal to confirm the move at: say --yes, or --dry-run");
        }
        Some(Task::Order { group: self.group()?, order, by: by(who), why: why(who), consent })
    }
}
