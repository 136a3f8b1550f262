//! The commands, and how each is given: as `examples/failover` does, by the library's [`Operator`], its orders and its
//! mandates. An order is given blindly: what a look beforehand would have refused may have changed before it is taken.
//!
//! [`Operator`]: mantissa_mr_core::operator::Operator

use std::fmt;
use std::sync::Arc;

use mantissa_mr_core::controller::{Ending, Happening, Mandate};
use mantissa_mr_core::guard::{GuardVerdict, LossLimit, Override, Waiver};
use mantissa_mr_core::ledger::{Ledger, OrderKind};
use mantissa_mr_core::name::{ActorId, StepId};
use mantissa_mr_core::operator::UnderWay;
use mantissa_mr_core::plan::{Move, MoveRequest, Plan, PlanHash};
use mantissa_mr_core::sim::{Fault, ProcessId, SimClock, Wish};

use super::answer::Answer;
use super::on_site;
use super::setting::request;
use super::situation::Site;
use super::stage::group;

macro_rules! commands {
    ($($name:ident $words:literal;)*) => {
        /// A command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Command {
            $($name,)*
        }

        impl Command {
            pub(crate) const ALL: [Self; 18] = [$(Self::$name,)*];
        }

        impl fmt::Display for Command {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $words,)* })
            }
        }
    };
}

commands! {
    Plan "plan switchover";
    Switchover "switchover";
    Drill "drill switchover";
    Failover "failover";
    Forced "failover, everything waived";
    Failback "failback";
    Evacuate "evacuate east";
    Rejoin "rejoin east";
    Saved "an old plan";
    Approve "approve";
    ApproveOther "approve another plan";
    Resume "resume";
    Abort "abort";
    Pause "pause";
    Skip "skip what is next";
    SkipLedger "skip the seal";
    SkipNothing "skip no such step";
    Acknowledge "ack";
}

/// Seconds that a command's effect is waited for.
const PATIENCE: u64 = 60;

impl Command {
    /// Gives the command; what comes of it.
    pub(crate) fn give(self, site: &mut Site) -> Answer {
        let known = on_site::ask(&site.turn, async |operator| operator.ledger(&group()).await);
        if let Err(error) = known {
            // Every command reads the ledger first. This one is given all the same, and must do no harm later on.
            let answer = Answer::refused(error);
            self.blindly(site);
            return answer;
        }
        match self {
            Self::Plan => site.plan(&request(Move::Switchover, &site.turn)).map_or_else(
                |refused| refused,
                |plan| Answer::done(format!("a plan of {} steps, to be looked at", plan.steps.len())),
            ),
            Self::Switchover => site.moves(Move::Switchover, false, false),
            Self::Drill => site.moves(Move::Switchover, true, false),
            Self::Failover => site.moves(Move::Failover, false, false),
            Self::Forced => site.moves(Move::Failover, false, true),
            Self::Failback => site.moves(Move::Failback, false, false),
            Self::Evacuate => site.moves(Move::Evacuate, false, false),
            Self::Rejoin => site.moves(Move::Rejoin, false, false),
            Self::Saved => site.saved(),
            _ => site.gives_order(self),
        }
    }

    fn blindly(self, site: &mut Site) {
        match self {
            Self::Plan => {}
            Self::Saved | Self::Switchover | Self::Drill | Self::Failover | Self::Forced => {
                site.spawn(Mandate::Carry(Arc::new(site.old.clone())));
            }
            Self::Failback | Self::Evacuate | Self::Rejoin => {}
            _ => _ = site.hand_over(self),
        }
    }
}

impl Site {
    /// A plan, or why there is none, or what must be said for it.
    fn plan(&self, request: &MoveRequest) -> Result<Plan, Answer> {
        let plan = on_site::ask(&self.turn, async |operator| operator.plan(&group(), request).await);
        let plan = plan.map_err(Answer::refused)?;
        let (mut needed, mut refusals) = (Vec::new(), Vec::new());
        for answer in plan.refusals() {
            match &answer.verdict {
                GuardVerdict::Refuse { needs: Some(needs) } => needed.push(needs.to_string()),
                _ => refusals.push(format!("the {} guard refuses: {}", answer.guard, answer.why)),
            }
        }
        match (refusals.is_empty(), needed.is_empty()) {
            (false, _) => Err(Answer::refused(refusals.join("; "))),
            (true, false) => Err(Answer::Asks(needed.join(" "))),
            (true, true) => Ok(plan),
        }
    }

    fn moves(&mut self, kind: Move, drill: bool, force: bool) -> Answer {
        let mut request = MoveRequest { drill, ..request(kind, &self.turn) };
        if force {
            let first = on_site::ask(&self.turn, async |operator| operator.plan(&group(), &request).await);
            request.waivers = first.map(|plan| self.waivers(&plan)).unwrap_or_default();
        }
        match self.plan(&request) {
            Ok(plan) => self.carry_out(Mandate::Carry(Arc::new(plan))),
            Err(answer) => answer,
        }
    }

    /// What a person signs to pass every guard over that can be.
    pub(crate) fn waivers(&self, plan: &Plan) -> Vec<Waiver> {
        let expires = self.turn.simulation.now().wall() + jiff::SignedDuration::from_hours(1);
        let waiver = |needs: &Override| Waiver {
            allows: match needs {
                Override::AllowDataLoss { .. } => Override::AllowDataLoss { up_to: LossLimit::Unbounded },
                other => other.clone(),
            },
            approver: "a person".into(),
            reason: "it must be".into(),
            expires,
        };
        let needs = |verdict: &GuardVerdict| match verdict {
            GuardVerdict::Refuse { needs: Some(needs) } => Some(waiver(needs)),
            _ => None,
        };
        plan.guards.iter().filter_map(|answer| needs(&answer.verdict)).collect()
    }

    /// A plan that was made when nothing had happened yet. A look beforehand says whether it is stale; who does not look is
    /// told so by the ledger.
    fn saved(&mut self) -> Answer {
        let old = self.old.clone();
        let objections = on_site::ask(&self.turn, async |operator| operator.recheck(&old).await);
        let answer = match objections {
            Err(error) => return Answer::refused(error),
            Ok(objections) => objections.join("; "),
        };
        if answer.is_empty() {
            return self.carry_out(Mandate::Carry(Arc::new(old)));
        }
        let blindly = self.carry_out(Mandate::Carry(Arc::new(old)));
        let begun = matches!(&blindly, Answer::Done(how) if how.contains("finished"));
        let stale = answer.contains("stale");
        assert!(!(begun && stale), "{answer}: and it was carried out all the same: {blindly}");
        Answer::refused(answer)
    }

    fn spawn(&mut self, mandate: Mandate) -> (ProcessId, ActorId) {
        let command = self.turn.cast.command("now", &group(), mandate, SimClock::exact());
        let mut name = command.name.clone();
        let taken = self.turn.simulation.history().processes.iter().any(|process| process.name == name);
        let process = self.turn.simulation.spawn(command);
        if taken {
            name = format!("{name}-{}", process.0);
        }
        (process, ActorId::new(&format!("{name}.1")).unwrap())
    }

    /// Carries a mandate out, as long as that takes; whoever gets no lease in time leaves.
    pub(crate) fn carry_out(&mut self, mandate: Mandate) -> Answer {
        let (process, actor) = self.spawn(mandate);
        let timing = self.turn.cast.deployment.spec().policy.timing;
        let patience = timing.lease.as_secs() + 3 * timing.beat.as_secs() + timing.call_deadline.as_secs();
        self.wait(patience, |site| site.leads(&actor) || site.ending(&actor).is_some());
        if !self.leads(&actor) && self.ending(&actor).is_none() {
            self.turn.fault(Fault::Crash { process, back_after: None });
            self.turn.pass(1);
            return Answer::refused("somebody else holds the lease and lives, so nothing was begun");
        }
        self.wait(PATIENCE, |site| site.ending(&actor).is_some());
        match self.ending(&actor) {
            None => Answer::done("it has begun, and is not over yet"),
            Some(Ending::Ended { outcome, report }) => Answer::done(format!("{} {outcome}", report.kind)),
            Some(Ending::Paused { why, .. }) => Answer::done(format!("it has begun, and waits: {why}")),
            Some(Ending::Refused(why)) => Answer::refused(why),
            Some(Ending::Superseded(why)) => Answer::refused(format!("somebody else took over: {why}")),
            Some(Ending::Failed(error)) => Answer::refused(error),
        }
    }

    fn leads(&self, actor: &ActorId) -> bool {
        let board = self.turn.cast.board.borrow();
        board.iter().any(|(by, news)| by == actor && matches!(news.what, Happening::TookLease(_)))
    }

    fn ending(&self, actor: &ActorId) -> Option<Ending> {
        self.turn.cast.endings.borrow().get(actor).cloned()
    }

    /// Waits until something is so, for so many seconds at most; says whether it is.
    pub(crate) fn wait(&mut self, seconds: u64, so: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..seconds * 4 {
            if so(self) {
                return true;
            }
            let next = self.turn.simulation.now() + std::time::Duration::from_millis(250);
            self.turn.simulation.run_until(next);
        }
        so(self)
    }
}

// ----- orders -----

impl Site {
    fn kind(&self, command: Command) -> OrderKind {
        let proposed = self.turn.ledger().proposal.map(|proposal| proposal.plan);
        let other = || PlanHash::try_from("0".repeat(64)).unwrap();
        match command {
            Command::Approve => OrderKind::Approve(proposed.unwrap_or_else(|| self.old.hash())),
            Command::ApproveOther => OrderKind::Approve(other()),
            Command::Abort => OrderKind::Abort,
            Command::Pause => OrderKind::Pause,
            Command::Skip => OrderKind::Skip(self.next_step()),
            Command::SkipLedger => OrderKind::Skip(step("seal")),
            Command::SkipNothing => OrderKind::Skip(step("nonsense")),
            Command::Acknowledge => OrderKind::Acknowledge,
            _ => OrderKind::Resume,
        }
    }

    /// The first step that is not over; the first of a plan, if nothing is under way.
    fn next_step(&self) -> StepId {
        let found = on_site::ask(&self.turn, async |operator| operator.under_way(&group()).await);
        let under_way = found.ok().flatten();
        let open = |under_way: UnderWay| {
            let mut steps = under_way.steps.into_iter();
            steps.find(|step| !matches!(step.status, "done" | "skipped")).map(|step| step.step)
        };
        under_way.and_then(open).unwrap_or_else(|| self.old.steps[0].id.clone())
    }

    fn hand_over(&mut self, command: Command) -> OrderKind {
        let what = self.kind(command);
        let wish = Wish::Order { group: group(), what: what.clone() };
        self.turn.person.act(&mut self.turn.simulation, &self.turn.cast, &wish);
        what
    }

    /// Gives an order: it is taken, or, if nobody is there, the person does it.
    fn gives_order(&mut self, command: Command) -> Answer {
        let (before, told) = (self.turn.ledger(), self.turn.cast.board.borrow().len());
        let what = self.hand_over(command);
        self.wait(2, |site| !site.turn.ledger().orders.is_empty());
        let timing = self.turn.cast.deployment.spec().policy.timing;
        let patience =
            2 * timing.lease.as_secs() + 2 * timing.beat.as_secs() + timing.call_deadline.as_secs();
        let taken = |site: &Self| !site.turn.ledger().orders.iter().any(|order| order.what == what);
        let mut by_hand = String::new();
        if !self.wait(patience, taken) {
            by_hand = format!("; by hand: {}", self.carry_out(Mandate::Finish { by: "a person".into() }));
            assert!(self.wait(patience, taken), "nobody took the order, not even the person's own command");
        }
        let is_so = |site: &Self| site.has_effect(&what, &before);
        self.wait(PATIENCE, |site| is_so(site) || site.refusal(told).is_some());
        // Who resumes by hand goes on with it, whether it waited or not.
        let resumed = what == OrderKind::Resume && !by_hand.is_empty();
        if let Some(why) = self.refusal(told).filter(|_| !resumed) {
            return Answer::refused(why);
        }
        assert!(
            is_so(self),
            "{what:?} was taken, not refused, and nothing came of it: {:?}",
            self.turn.ledger()
        );
        self.turn.pass(1);
        Answer::done(format!("{}{by_hand}", self.stands()))
    }

    /// What people were told of an order since then.
    fn refusal(&self, told: usize) -> Option<String> {
        let board = self.turn.cast.board.borrow();
        board[told..].iter().find_map(|(_, news)| match &news.what {
            Happening::Trouble(text) if text.contains("was not begun") => Some(text.clone()),
            Happening::Trouble(text) if text.starts_with("the order of a person") => {
                text.split_once("was refused: ").map(|(_, why)| why.to_owned())
            }
            _ => None,
        })
    }

    fn has_effect(&self, what: &OrderKind, before: &Ledger) -> bool {
        let ledger = self.turn.ledger();
        let paused = ledger.execution.as_ref().is_some_and(|running| running.paused.is_some());
        let said = |text: &str| self.turn.events().iter().any(|event| format!("{event:?}").starts_with(text));
        match what {
            OrderKind::Pause => paused,
            OrderKind::Resume => !paused,
            OrderKind::Abort => said("Aborting"),
            OrderKind::Skip(step) => said(&format!("Skipped {{ step: {step:?}")),
            OrderKind::Approve(_) => ledger.generation > before.generation,
            OrderKind::Acknowledge => ledger.ended.is_some_and(|ended| ended.acknowledged),
        }
    }

    fn gives_up(&self) -> bool {
        on_site::ask(&self.turn, async |operator| operator.under_way(&group()).await)
            .is_ok_and(|found| found.is_some_and(|under_way| under_way.aborting))
    }

    /// How things stand, in a few words.
    pub(crate) fn stands(&self) -> String {
        let ledger = self.turn.ledger();
        let ended = ledger.ended.map(|ended| {
            let noted = if ended.acknowledged { ", acknowledged" } else { "" };
            format!("{} {}{noted}", ended.id, ended.outcome)
        });
        match (ledger.execution, ended) {
            (Some(running), _) => match running.paused {
                Some(why) => format!("{} waits: {why}", running.id),
                None if self.gives_up() => format!("{} is being given up", running.id),
                None => format!("{} goes on", running.id),
            },
            (None, Some(ended)) => ended,
            (None, None) => "nothing has moved".to_owned(),
        }
    }
}

fn step(name: &str) -> StepId {
    StepId::try_from(name.to_owned()).unwrap()
}
