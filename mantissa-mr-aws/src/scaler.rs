//! Lambda functions as compute.
//!
//! A function's capacity is its *reserved concurrent executions*; full capacity is set per function. A resource holds
//! any number of functions, which are scaled together: its units are the sum, and a target is spread over the functions
//! by what each has at full capacity, at least one execution each as long as there are enough. A function without a
//! reservation counts as none, although it may run: it has nothing that is its own. So does one that has less memory
//! than the settings ask for.
//!
//! [`scale`](ComputeScaler::scale) first reads every function and the account's limits, and refuses what would leave
//! less than 100 executions unreserved (the service's own floor,
//! [AWS: concurrency](https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html)) before it changes
//! anything; then it changes only what differs: lower reservations first, then higher ones, then memory, which is
//! only ever raised. (The guide's `update-function-configuration --reserved-concurrent-executions` is no valid call:
//! concurrency has its own, `PutFunctionConcurrency`.)
//!
//! A target of nothing reserves zero: the function is then throttled altogether, not merely unscaled.
//!
//! Settings: `functions` (names, or `{ name, full, memory }`), `full` (executions of each, where it does not say its
//! own), `memory` (MB, optional), `keep-unreserved` (100 unless said).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use futures_util::future::{join_all, try_join_all};
use mantissa_mr_core::compute::{Capacity, ComputeScaler, ScalerCapabilities, Target};
use mantissa_mr_core::deployment::{ResourceSpec, Settings};
use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::problem::Problem;
use toml::Value;

use crate::clients::Clients;
use crate::error::ApiCall;
use crate::settings::Reader;

/// What the service never lets be reserved.
const FLOOR: u64 = 100;
/// How many functions are changed at the same time: the service takes about 15 such calls a second.
const AT_ONCE: usize = 4;
/// A reservation holds within seconds; a change of memory rebuilds the function's environments.
const EXPECTED_START: Duration = Duration::from_secs(30);

/// A function, and what it has when its region serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    name: String,
    full: u64,
    memory: Option<u64>,
}

/// The functions of a group.
pub struct LambdaScaler {
    clients: Arc<Clients>,
    functions: Vec<Function>,
    keep_unreserved: u64,
}

/// How a function is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    reserved: Option<u64>,
    memory: Option<u64>,
    /// It has the memory that it must have.
    fit: bool,
    /// It serves, and no change of it is under way.
    ready: bool,
}

impl Seen {
    fn requested(&self) -> u64 {
        self.reserved.filter(|_| self.fit).unwrap_or_default()
    }
}

/// What is to change of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change<'a> {
    function: &'a Function,
    reserved: Option<u64>,
    memory: Option<u64>,
    lowers: bool,
}

/// Each function's part of so many units. The parts add up exactly.
fn spread(units: u64, functions: &[Function]) -> Vec<u64> {
    let count = u64::try_from(functions.len()).unwrap_or(u64::MAX);
    // One each first; what is left goes by what each has above one at full capacity.
    let left = u128::from(units.saturating_sub(count));
    let weight = |function: &Function| u128::from(function.full.saturating_sub(1));
    let total: u128 = functions.iter().map(weight).sum();
    let (mut ones, mut weights, mut given) = (units.min(count), 0, 0);
    let part = |function: &Function| {
        let one = u64::from(ones > 0);
        ones -= one;
        weights += weight(function);
        // Where nothing has more than one, the first takes it all.
        let due = (left * weights).checked_div(total).unwrap_or(left);
        let more = due - given;
        given = due;
        one.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
    };
    functions.iter().map(part).collect()
}

impl LambdaScaler {
    fn full(&self) -> u64 {
        self.functions.iter().map(|function| function.full).sum()
    }

    fn client(&self, region: &Region) -> Result<&aws_sdk_lambda::Client> {
        let known = self.clients.region(region).map(|clients| &clients.lambda);
        known.ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "scale", "it is not one of the deployment's regions")
                .in_region(region)
        })
    }

    async fn look_at(&self, region: &Region, function: &Function) -> Result<Seen> {
        let client = self.client(region)?;
        let call = ApiCall::read("GetFunctionConfiguration", &function.name, region);
        let configuration = client.get_function_configuration().function_name(&function.name).send();
        let concurrency = client.get_function_concurrency().function_name(&function.name).send();
        let (configuration, concurrency) = tokio::join!(configuration, concurrency);
        let configuration = configuration.map_err(|error| call.failed(error))?;
        let call = ApiCall::read("GetFunctionConcurrency", &function.name, region);
        let concurrency = concurrency.map_err(|error| call.failed(error))?;
        let count = |number: Option<i32>| number.and_then(|number| u64::try_from(number).ok());
        let memory = count(configuration.memory_size);
        Ok(Seen {
            reserved: count(concurrency.reserved_concurrent_executions),
            fit: function.memory.is_none_or(|wanted| memory >= Some(wanted)),
            memory,
            ready: is_ready(configuration.state.as_ref(), configuration.last_update_status.as_ref()),
        })
    }

    async fn look(&self, region: &Region) -> Result<Vec<Seen>> {
        try_join_all(self.functions.iter().map(|function| self.look_at(region, function))).await
    }

    /// The most that these functions can have reserved together; none where the service does not say.
    async fn limit(&self, region: &Region, seen: &[Seen]) -> Result<Option<u64>> {
        let call = ApiCall::read("GetAccountSettings", "account", region);
        let unreserved = match self.client(region)?.get_account_settings().send().await {
            Ok(answer) => answer.account_limit.and_then(|limit| limit.unreserved_concurrent_executions),
            Err(error) => match call.failed(error) {
                // Some emulators do not know the call.
                error if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => None,
                error => return Err(error),
            },
        };
        let own: u64 = seen.iter().filter_map(|seen| seen.reserved).sum();
        let unreserved = unreserved.and_then(|number| u64::try_from(number).ok());
        Ok(unreserved.map(|unreserved| (unreserved + own).saturating_sub(self.keep_unreserved)))
    }

    async fn apply(&self, region: &Region, change: &Change<'_>) -> Result<()> {
        let name = &change.function.name;
        let client = self.client(region)?;
        if let Some(reserved) = change.reserved {
            let call = ApiCall::change("PutFunctionConcurrency", name, region);
            let reserved = i32::try_from(reserved).unwrap_or(i32::MAX);
            let request = client.put_function_concurrency().function_name(name);
            let sent = request.reserved_concurrent_executions(reserved).send().await;
            sent.map_err(|error| below_floor(call.failed(error)))?;
        }
        if let Some(memory) = change.memory {
            let call = ApiCall::change("UpdateFunctionConfiguration", name, region);
            let memory = i32::try_from(memory).unwrap_or(i32::MAX);
            let request = client.update_function_configuration().function_name(name).memory_size(memory);
            request.send().await.map_err(|error| call.failed(error))?;
        }
        Ok(())
    }

    /// What differs from the target: lower reservations first, so that the higher ones find room.
    fn changes(&self, seen: &[Seen], units: u64) -> Vec<Change<'_>> {
        let mut changes: Vec<Change<'_>> = Vec::new();
        let wanted = spread(units, &self.functions);
        for ((function, seen), wanted) in self.functions.iter().zip(seen).zip(wanted) {
            let raises = |memory: &u64| wanted > 0 && seen.memory.is_none_or(|now| now < *memory);
            let change = Change {
                function,
                reserved: (seen.reserved != Some(wanted)).then_some(wanted),
                memory: function.memory.filter(raises),
                lowers: seen.reserved.is_some_and(|now| now > wanted),
            };
            if change.reserved.is_some() || change.memory.is_some() {
                changes.push(change);
            }
        }
        changes.sort_by_key(|change| !change.lowers);
        changes
    }
}

#[async_trait]
impl ComputeScaler for LambdaScaler {
    fn capabilities(&self) -> ScalerCapabilities {
        ScalerCapabilities { expected_start: EXPECTED_START }
    }

    async fn capacity(&self, region: &Region) -> Result<Capacity> {
        let seen = self.look(region).await?;
        Ok(Capacity {
            ready: seen.iter().filter(|seen| seen.ready).map(Seen::requested).sum(),
            requested: seen.iter().map(Seen::requested).sum(),
            full: self.full(),
            limit: self.limit(region, &seen).await?,
            unit: "reserved concurrent executions".to_owned(),
        })
    }

    /// An error after the first change says that something may have changed: the call can be repeated.
    async fn scale(&self, region: &Region, target: Target, epoch: Epoch) -> Result<()> {
        let seen = self.look(region).await?;
        let wanted = target.units(self.full());
        let changes = self.changes(&seen, wanted);
        if changes.is_empty() {
            return Ok(());
        }
        let now: u64 = seen.iter().filter_map(|seen| seen.reserved).sum();
        let limit = self.limit(region, &seen).await?;
        if let Some(limit) = limit.filter(|limit| wanted > now && wanted > *limit) {
            let call = ApiCall::read("PutFunctionConcurrency", "account", region);
            let message = format!(
                "{wanted} reserved executions are wanted, and the account can give {limit} ({} stay unreserved)",
                self.keep_unreserved
            );
            let advice = "raise the quota `Concurrent executions` of Lambda in this region, or lower `full`";
            return Err(call.error(ErrorKind::Quota, message).with_advice(advice));
        }
        tracing::info!(%region, %target, %epoch, changes = changes.len(), "scaling functions");
        let lower = changes.iter().take_while(|change| change.lowers).count();
        let (lower, raise) = changes.split_at_checked(lower).unwrap_or((&[], &changes));
        let mut begun = false;
        for batch in lower.chunks(AT_ONCE).chain(raise.chunks(AT_ONCE)) {
            // All of a batch is answered before its first error is told: no request is dropped on its way.
            let applied = join_all(batch.iter().map(|change| self.apply(region, change))).await;
            let applied: Result<Vec<()>> = applied.into_iter().collect();
            applied.map_err(|error| {
                if begun || batch.len() > 1 { error.with_effect(Effect::Unknown) } else { error }
            })?;
            begun = true;
        }
        Ok(())
    }
}

impl fmt::Debug for LambdaScaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.functions.iter().map(|function| function.name.as_str()).collect();
        f.debug_struct("LambdaScaler").field("functions", &names).finish()
    }
}

/// A function that was idle for weeks is inactive: its first calls fail while it is set up again.
fn is_ready(state: Option<&State>, update: Option<&LastUpdateStatus>) -> bool {
    matches!(state, None | Some(State::Active)) && matches!(update, None | Some(LastUpdateStatus::Successful))
}

/// The service has no code of its own for its floor.
fn below_floor(error: Error) -> Error {
    if error.kind() == ErrorKind::InvalidInput && error.message().contains("UnreservedConcurrentExecution") {
        let refused = Error::new(ErrorKind::Quota, error.operation(), error.message());
        let refused = error.resource().map_or(refused.clone(), |resource| refused.on(resource));
        return error.region().map_or(refused.clone(), |region| refused.in_region(region));
    }
    error
}

/// Reads the settings; what is wrong with them is added to the problems.
pub(crate) fn read(
    group: &GroupName,
    resource: &ResourceSpec,
    clients: Arc<Clients>,
    problems: &mut Vec<Problem>,
) -> LambdaScaler {
    let mut reader = Reader::resource(group, "scalers", resource);
    let full = reader.optional_number("full", 1..=1_000_000);
    let memory = reader.optional_number("memory", 128..=10_240);
    let keep_unreserved = reader.number("keep-unreserved", 0..=1_000_000, FLOOR);
    let mut functions: Vec<Function> = Vec::new();
    let mut wrong = Vec::new();
    for (index, value) in reader.list("functions", "the names of the functions").iter().enumerate() {
        let field = format!("groups.{group}.scalers.{}.settings.functions[{index}]", resource.name);
        match function(value, &field, full, memory) {
            Ok(function) if functions.iter().any(|known| known.name == function.name) => {
                wrong.push(Problem::new(field, format!("{} is named twice", function.name)));
            }
            Ok(function) => functions.push(function),
            Err(problems) => wrong.extend(problems),
        }
    }
    problems.extend(reader.finish());
    problems.extend(wrong);
    LambdaScaler { clients, functions, keep_unreserved }
}

fn function(
    value: &Value,
    field: &str,
    full: Option<u64>,
    memory: Option<u64>,
) -> std::result::Result<Function, Vec<Problem>> {
    let settings: Settings = match value {
        Value::String(_) => Settings::from([("name".to_owned(), value.clone())]),
        Value::Table(table) => table.clone().into_iter().collect(),
        other => {
            let message =
                format!("must be a name or {{ name, full, memory }}, and is a TOML {}", other.type_str());
            return Err(vec![Problem::new(field, message)]);
        }
    };
    let mut reader = Reader::new(Some(&settings), field.to_owned(), format!("`{field}`"));
    let name = reader.text("name", "the function's name");
    let own = reader.optional_number("full", 1..=1_000_000).or(full);
    let memory = reader.optional_number("memory", 128..=10_240).or(memory);
    if own.is_none() {
        let advice = "add `full = 100` to it, or to the scaler's settings for all its functions";
        reader.refuse("full", "is missing: nothing says what full capacity is", advice);
    }
    let problems = reader.finish();
    match own {
        Some(full) if problems.is_empty() => Ok(Function { name, full, memory }),
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, full: u64) -> Function {
        Function { name: name.to_owned(), full, memory: Some(1024) }
    }

    fn scaler(functions: Vec<Function>) -> LambdaScaler {
        let config = aws_config::SdkConfig::builder().build();
        let clients = Clients::new(&config, [], Duration::from_secs(1));
        LambdaScaler { clients: Arc::new(clients), functions, keep_unreserved: FLOOR }
    }

    fn seen(reserved: Option<u64>, memory: u64) -> Seen {
        Seen { reserved, memory: Some(memory), fit: memory >= 1024, ready: true }
    }

    #[test]
    fn the_parts_add_up_and_full_capacity_is_each_functions_own() {
        let functions = [function("a", 100), function("b", 33), function("c", 1)];
        for units in [0, 1, 2, 3, 4, 14, 50, 133, 134, 500, u64::MAX] {
            let parts = spread(units, &functions);
            let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
            assert_eq!(sum, u128::from(units), "{parts:?}");
            assert!(
                units < 3 || parts.iter().all(|part| *part > 0),
                "nobody is throttled altogether: {parts:?}"
            );
        }
        assert_eq!(spread(134, &functions), [100, 33, 1]);
        assert_eq!(spread(14, &functions), [9, 4, 1]);
        assert_eq!(spread(5, &[function("a", 1), function("b", 1)]), [4, 1]);
        assert_eq!(spread(5, &[]), [0; 0]);
    }

    #[test]
    fn only_what_differs_is_changed_and_room_is_made_first() {
        let scaler = scaler(vec![function("up", 100), function("same", 100), function("down", 100)]);
        let now = [seen(None, 1024), seen(Some(50), 2048), seen(Some(90), 512)];
        let changes = scaler.changes(&now, 150);
        let told = |change: &Change<'_>| (change.function.name.clone(), change.reserved, change.memory);
        let told: Vec<_> = changes.iter().map(told).collect();
        assert_eq!(told, [("down".to_owned(), Some(50), Some(1024)), ("up".to_owned(), Some(50), None)]);
    }

    #[test]
    fn memory_is_not_touched_where_nothing_is_to_run() {
        let scaler = scaler(vec![function("a", 100)]);
        let changes = scaler.changes(&[seen(Some(10), 128)], 0);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].reserved, changes[0].memory), (Some(0), None));
    }

    #[test]
    fn too_little_memory_is_no_capacity() {
        assert_eq!((seen(Some(10), 128).requested(), seen(Some(10), 1024).requested()), (0, 10));
    }

    #[test]
    fn a_function_that_was_idle_for_weeks_is_not_ready() {
        assert!(is_ready(Some(&State::Active), Some(&LastUpdateStatus::Successful)));
        for state in [State::Inactive, State::Pending, State::Failed] {
            assert!(!is_ready(Some(&state), None), "{state}");
        }
        assert!(!is_ready(Some(&State::Active), Some(&LastUpdateStatus::InProgress)));
    }
}
