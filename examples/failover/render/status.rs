//! How a group stands: what a person who was woken up needs to see first comes first.

use mantissa_mr_core::check::Fitness;
use mantissa_mr_core::compute::Capacity;
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::ledger::{Lease, Ledger};
use mantissa_mr_core::name::{GroupName, Region, ResourceName};
use mantissa_mr_core::operator::{GroupStatus, Holder, UnderWay};
use mantissa_mr_core::state::State;
use mantissa_mr_core::store::{Lag, Role};

use super::{fact, span, table, wrap};

/// What is shown of a group.
pub(crate) struct Seen<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) group: &'a GroupName,
    pub(crate) witness: &'a str,
    /// What its loss would cost.
    pub(crate) warning: Option<&'a str>,
    pub(crate) status: &'a GroupStatus,
    pub(crate) under_way: Option<&'a UnderWay>,
    /// Only where something is under way that nobody has paused.
    pub(crate) holder: Option<&'a Holder>,
    /// What is wrong with what is under way.
    pub(crate) troubles: &'a [String],
}

/// All of it.
pub(crate) fn status(seen: &Seen<'_>) -> Vec<String> {
    let ledger = seen.status.ledger.as_ref().ok().and_then(Option::as_ref);
    let mut lines = head(seen, ledger);
    lines.push(String::new());
    lines.extend(regions(seen, ledger));
    lines.extend(reasons(seen));
    if let Some(under_way) = seen.under_way {
        lines.push(String::new());
        lines.extend(steps(under_way));
    }
    let unseen = seen.status.errors.iter().map(ToString::to_string).chain(seen.troubles.iter().cloned());
    let unseen: Vec<String> = unseen.flat_map(|trouble| wrap(&trouble, "  - ", "    ")).collect();
    if !unseen.is_empty() {
        lines.push(String::new());
        lines.push("not seen".into());
        lines.extend(unseen);
    }
    let next = next(seen, ledger);
    if !next.is_empty() {
        lines.push(String::new());
        lines.push("next".into());
        for (command, what) in next {
            lines.push(format!("  {command}"));
            lines.extend(wrap(&what, "      ", "      "));
        }
    }
    lines
}

fn head(seen: &Seen<'_>, ledger: Option<&Ledger>) -> Vec<String> {
    let spec = seen.deployment.spec();
    let mut lines = wrap(&format!("group {} of {} ({})", seen.group, spec.name, spec.strategy), "", "");
    lines.extend(fact("state", &state(seen, ledger)));
    match &seen.status.ledger {
        Ok(Some(ledger)) => lines.extend(said_by(seen, ledger)),
        Ok(None) => lines.extend(fact("ledger", "there is none yet")),
        Err(error) => lines.extend(fact("ledger", &format!("CANNOT BE READ: {error}"))),
    }
    lines.extend(fact("witness", seen.witness));
    lines.extend(seen.warning.iter().flat_map(|warning| fact("warning", warning)));
    lines
}

/// The first line: does it serve, where, and is anything going on?
fn state(seen: &Seen<'_>, ledger: Option<&Ledger>) -> String {
    let Some(ledger) = ledger else {
        return match &seen.status.ledger {
            Ok(_) => "not set up".into(),
            Err(_) => {
                "UNKNOWN: without the ledger nothing moves, and every gate shuts when its trust ends".into()
            }
        };
    };
    let active: Vec<&Region> = ledger.active().collect();
    let serving = match active.as_slice() {
        [] => "NOBODY serves".to_owned(),
        regions => {
            let serves = regions.iter().map(|region| {
                let fitness = seen.status.facts.fitness(region);
                let unfit = if fitness == Fitness::Fit { String::new() } else { format!(" ({fitness})") };
                format!("{region}{unfit}")
            });
            format!("{} serves", serves.collect::<Vec<_>>().join(", "))
        }
    };
    let doing = match (seen.under_way, &ledger.execution) {
        (_, None) if ledger.proposal.is_some() => State::Proposed.to_string(),
        (_, None) => return serving,
        (Some(under_way), Some(running)) if running.paused.is_some() => {
            let point = if under_way.committed { ", past the point of no return" } else { "" };
            format!("PAUSED{point}")
        }
        (Some(under_way), _) if under_way.aborting => State::Aborting.to_string(),
        (Some(under_way), _) if under_way.committed => State::Committed.to_string(),
        _ => State::Moving.to_string(),
    };
    format!("{serving}; {doing}")
}

fn said_by(seen: &Seen<'_>, ledger: &Ledger) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(running) = &ledger.execution {
        let since = running.began.strftime("%H:%M:%S");
        lines.extend(fact("under way", &format!("{} since {since} UTC", running.id)));
        if let Some(why) = &running.paused {
            lines.extend(fact("paused", why));
        }
    }
    if let Some(proposal) = &ledger.proposal {
        let expires = proposal.expires.strftime("%H:%M:%S");
        let text = format!("{} to {} until {expires} UTC: {}", proposal.kind, proposal.region, proposal.why);
        lines.extend(fact("proposed", &text));
    }
    for order in &ledger.orders {
        let text = format!("{:?} by {} ({}), not taken yet", order.what, order.by, order.reason);
        lines.extend(fact("order", &text));
    }
    if let Some(ended) = &ledger.ended {
        let at = ended.at.strftime("%Y-%m-%d %H:%M:%S");
        let seen = if ended.acknowledged { "" } else { "; nobody has acknowledged it" };
        lines.extend(fact("last move", &format!("{} {} at {at} UTC{seen}", ended.id, ended.outcome)));
        for region in &ended.unreconciled {
            let text = format!("{region} may hold acknowledged writes that the group does not have");
            lines.extend(fact("left over", &text));
        }
    }
    lines.extend(fact("lease", &lease(&ledger.lease, seen.holder)));
    let journal = format!(
        "generation {}, epoch {}, {} journal slots",
        ledger.generation,
        ledger.epoch(),
        ledger.journal.slots
    );
    lines.extend(fact("ledger", &journal));
    lines
}

fn lease(lease: &Lease, holder: Option<&Holder>) -> String {
    let term = lease.term;
    match (&lease.holder, holder) {
        (None, _) => format!("free, after term {term}"),
        (Some(actor), Some(Holder::Alive(_))) => format!("{actor}, alive, term {term}"),
        (Some(actor), Some(Holder::Silent(_))) => format!("{actor}, SILENT, term {term}"),
        (Some(actor), _) => format!("{actor}, term {term}"),
    }
}

fn regions(seen: &Seen<'_>, ledger: Option<&Ledger>) -> Vec<String> {
    let row = |region: &Region| {
        let admission = ledger.and_then(|ledger| ledger.admissions.get(region));
        let may = admission.map_or("?".to_owned(), |admission| admission.state.to_string());
        [
            region.to_string(),
            may,
            seen.status.facts.fitness(region).to_string(),
            stores(seen, region),
            traffic(seen, region),
            capacity(seen, region),
        ]
    };
    let header = ["region", "ledger", "checks", "data", "traffic", "compute"];
    table(header, seen.deployment.regions().map(row))
}

fn stores(seen: &Seen<'_>, region: &Region) -> String {
    let replica = |store: &mantissa_mr_core::store::StoreStatus| {
        let replica = store.replicas.get(region)?;
        let role = match replica.role {
            Role::Writer => "writer",
            Role::Replica => "replica",
            Role::Absent => "absent",
            Role::Unreachable => return Some("unreachable".to_owned()),
        };
        Some(match &replica.lag {
            Lag::Known { .. } if replica.role == Role::Writer => role.to_owned(),
            Lag::Known { lag, age } => format!("{role}, {} behind", span(*lag + *age)),
            Lag::Unknown { .. } => format!("{role}, lag unknown"),
        })
    };
    let stores = seen.status.facts.stores.iter();
    named(stores.filter_map(|(name, store)| Some((name, replica(&store.value)?))))
}

/// What is said of each resource; the name of an only one is left out.
fn named<'a>(said: impl Iterator<Item = (&'a ResourceName, String)>) -> String {
    let said: Vec<_> = said.collect();
    match said.as_slice() {
        [(_, text)] => text.clone(),
        several => {
            several.iter().map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("\n")
        }
    }
}

fn traffic(seen: &Seen<'_>, region: &Region) -> String {
    let share = |routing: &mantissa_mr_core::traffic::Routing| {
        let total: u64 = routing.weights.0.values().map(|weight| u64::from(*weight)).sum();
        let health = match routing.health.get(region) {
            Some(false) => " (unhealthy)",
            _ => "",
        };
        let open = if routing.unfinished.is_some() { " UNFINISHED" } else { "" };
        format!("{} %{health}{open}", u64::from(routing.weights.of(region)) * 100 / total.max(1))
    };
    let routings = seen.status.facts.routings.iter();
    named(routings.map(|(name, routing)| (name, share(&routing.value))))
}

fn capacity(seen: &Seen<'_>, region: &Region) -> String {
    let capacities = seen.status.facts.capacities.iter().filter(|((_, place), _)| place == region);
    let ready = |capacity: &Capacity| format!("{} of {} {}", capacity.ready, capacity.full, capacity.unit);
    named(capacities.map(|((name, _), seen)| (name, ready(&seen.value))))
}

/// Why regions are called what they are called, and what the vantages say.
fn reasons(seen: &Seen<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let health = seen.status.facts.health.iter().filter(|(_, health)| health.fitness != Fitness::Fit);
    for (region, health) in health {
        lines.extend(wrap(&format!("{region} is {}: {}", health.fitness, health.why), "  ", "    "));
    }
    for (vantage, ballot) in &seen.status.ballots {
        let said = match &ballot.abstains {
            Some(why) => format!("abstains: {why}"),
            None => {
                let votes = ballot.votes.iter().map(|(region, vote)| format!("{region} {}", vote.fitness));
                votes.collect::<Vec<_>>().join(", ")
            }
        };
        lines.extend(wrap(&format!("vantage {vantage} last said: {said}"), "  ", "    "));
    }
    lines
}

fn steps(under_way: &UnderWay) -> Vec<String> {
    let rows = under_way.steps.iter().map(|step| {
        let what =
            if step.why.is_empty() { step.what.clone() } else { format!("{} ({})", step.what, step.why) };
        [step.status.to_owned(), step.step.to_string(), what]
    });
    table(["step is", "step", "what it does"], rows)
}

/// The commands that make sense now, each with what it does.
fn next(seen: &Seen<'_>, ledger: Option<&Ledger>) -> Vec<(String, String)> {
    let hint = |command: &str, what: &str| (format!("failover {command}"), what.to_owned());
    let Some(ledger) = ledger else {
        return match &seen.status.ledger {
            Ok(_) => vec![hint("init", "makes the ledger")],
            Err(_) => vec![],
        };
    };
    if let (Some(_), Some(under_way)) = (&ledger.execution, seen.under_way) {
        return next_of_execution(seen, under_way);
    }
    let mut hints = Vec::new();
    if let Some(proposal) = &ledger.proposal {
        let hash = proposal.plan.as_str().get(..12).unwrap_or_default();
        hints.push(hint(&format!("approve {hash}"), "shows the plan that is proposed, and carries it out"));
    }
    let unfit = ledger.active().find(|region| seen.status.facts.fitness(region) == Fitness::Unfit);
    if let Some(region) = unfit.filter(|_| ledger.proposal.is_none()) {
        let (command, what) = match ledger.strategy {
            Strategy::ActivePassive => ("failover --dry-run".to_owned(), "shows the way to another region"),
            Strategy::ActiveActive => {
                (format!("evacuate --from {region} --dry-run"), "shows the way without it")
            }
        };
        hints.push(hint(&command, &format!("{region} is to serve and is unfit: {what}")));
    }
    if ledger.ended.as_ref().is_some_and(|ended| !ended.acknowledged) {
        hints.push(hint("ack", "the last move was looked at: the cool-down ends"));
    }
    hints
}

fn next_of_execution(seen: &Seen<'_>, under_way: &UnderWay) -> Vec<(String, String)> {
    let hint = |command: &str, what: &str| (format!("failover {command}"), what.to_owned());
    let paused = under_way.running.paused.is_some();
    let dead = matches!(seen.holder, Some(Holder::Nobody | Holder::Silent(_)));
    let mut hints = Vec::new();
    if paused || dead {
        hints.push(hint("resume", "goes on with it from here"));
    } else {
        hints.push(hint("pause", "begins no further step"));
    }
    if !under_way.committed && !under_way.aborting {
        hints.push(hint("abort", "gives it up and lets the old region serve again"));
    }
    let stuck = under_way.steps.iter().filter(|step| step.status == "failed");
    hints
        .extend(stuck.map(|step| hint(&format!("skip {} --reason TEXT", step.step), "leaves this step out")));
    hints
}
