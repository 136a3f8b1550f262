//! From a deployment to the things that serve it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::cell::CellStore;
use mantissa_mr_core::check::Check;
use mantissa_mr_core::compute::ComputeScaler;
use mantissa_mr_core::deployment::{Deployment, GroupSpec, Provider, ResourceSpec, WitnessSpec};
use mantissa_mr_core::name::{GroupName, Region, ResourceName};
use mantissa_mr_core::problem::{Problem, Problems};
use mantissa_mr_core::store::ReplicatedStore;
use mantissa_mr_core::traffic::TrafficRouter;

use crate::bucket::{self, S3Bucket};
use crate::cell::s3::{self, S3Cells, S3CellsSettings};
use crate::cell::{DynamoDbCells, Way};
use crate::check::TableCheck;
use crate::clients::Clients;
use crate::router::{self, Route53Failover};
use crate::scaler;
use crate::settings::{Reader, nearest};
use crate::store::{self, GlobalTable, GlobalTableSettings};

/// A kind of the witness: [`DynamoDbCells`].
pub const WITNESS: &str = "dynamodb";
/// Another kind of the witness: [`S3Cells`].
pub const WITNESS_S3: &str = "s3";
/// A kind of a store: [`GlobalTable`].
pub const STORE: &str = "dynamodb-global-table";
/// Another kind of a store: [`S3Bucket`].
pub const STORE_S3: &str = "s3-bucket";
/// The kind of a router: [`Route53Failover`].
pub const ROUTER: &str = "route53-failover";
/// The kind of a scaler: [`LambdaScaler`](crate::scaler::LambdaScaler).
pub const SCALER: &str = "lambda";
/// The kind of a check: [`TableCheck`].
pub const CHECK: &str = "dynamodb-table";

/// What serves a deployment on AWS.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The ledger's cells.
    pub cells: Arc<dyn CellStore>,
    /// The stores, by name.
    pub stores: BTreeMap<ResourceName, Arc<dyn ReplicatedStore>>,
    /// The routers, by name.
    pub routers: BTreeMap<ResourceName, Arc<dyn TrafficRouter>>,
    /// The scalers, by name.
    pub scalers: BTreeMap<ResourceName, Arc<dyn ComputeScaler>>,
    /// The checks, by name.
    pub checks: BTreeMap<ResourceName, Arc<dyn Check>>,
    ledger: Ledger,
    failovers: BTreeMap<ResourceName, Arc<Route53Failover>>,
}

impl Connected {
    /// All of it as the core takes it, without hooks and notifiers.
    pub fn backend(&self) -> Backend {
        let mut backend = Backend::new(self.cells.clone());
        backend.stores.clone_from(&self.stores);
        backend.routers.clone_from(&self.routers);
        backend.scalers.clone_from(&self.scalers);
        backend.checks.clone_from(&self.checks);
        backend
    }

    /// Makes what must be there before the first move: the ledger's table or bucket, and each router's switches. Returns what was
    /// done, or would be. It can be repeated at any time; what is there is looked at and left alone.
    ///
    /// Replication is set up by [`ReplicatedStore::ensure_replicated`].
    ///
    /// # Errors
    /// The first one met; what was done before it stays done.
    pub async fn init(&self, dry_run: bool) -> mantissa_mr_core::error::Result<Vec<String>> {
        let mut done = match &self.ledger {
            Ledger::DynamoDb(cells) => cells.init(dry_run).await?,
            Ledger::S3(cells) => cells.init(dry_run).await?,
        };
        for router in self.failovers.values() {
            done.extend(router.prepare(dry_run).await?);
        }
        Ok(done)
    }
}

/// The ledger's cells, by kind.
#[derive(Clone, Debug)]
enum Ledger {
    DynamoDb(Arc<DynamoDbCells>),
    S3(Arc<S3Cells>),
}

/// What the witness's settings say.
enum LedgerSettings {
    Table(String),
    Bucket(S3CellsSettings),
}

/// Makes what serves a deployment on AWS. Nothing is sent yet: clients connect when they are first used.
///
/// `config` gives the credentials and, if need be, an endpoint or an HTTP client. Its region, timeouts and retries are
/// not used: clients are made for each of the deployment's regions, with the deadline of `policy.timing.call-deadline`
/// and one attempt per request.
///
/// Credentials that come from STS are fetched in the region that `config` was loaded with. Load it with the witness's
/// region, or a region that serves: in the one that is to be left they may no longer be had when it counts.
///
/// # Errors
/// All that is wrong with the deployment's kinds and settings, at once.
pub async fn connect(deployment: &Deployment, config: &SdkConfig) -> Result<Connected, Problems> {
    let mut problems = Vec::new();
    let spec = deployment.spec();
    for region in spec.regions.iter().filter(|region| region.provider != Provider::Aws) {
        let message = format!("{} is a region of {}, not of aws", region.name, region.provider);
        problems.push(Problem::new("regions", message).with_advice("connect it with that cloud's crate"));
    }
    if config.credentials_provider().is_none() {
        let advice =
            "load the configuration with `aws_config::load_defaults`, or give it a credentials provider";
        problems.push(
            Problem::new("", "the SDK's configuration has no credentials provider").with_advice(advice),
        );
    }
    let witness = read_witness(&spec.witness, &mut problems);
    let deadline = spec.policy.timing.call_deadline;
    let regions = deployment.regions().chain(witness.as_ref().map(|(region, _)| region));
    let mut making = Making {
        clients: Arc::new(Clients::new(config, regions, deadline)),
        regions: preferred_first(deployment),
        deadline,
        problems,
        stores: BTreeMap::new(),
        routers: BTreeMap::new(),
        scalers: BTreeMap::new(),
        checks: BTreeMap::new(),
    };
    for group in &spec.groups {
        making.group(group);
    }
    making.finish(witness)
}

/// The preferred region first, then the others as they were written down.
fn preferred_first(deployment: &Deployment) -> Vec<Region> {
    let preferred = &deployment.spec().preferred;
    let others = deployment.regions().filter(|region| *region != preferred);
    std::iter::once(preferred).chain(others).cloned().collect()
}

fn read_witness(witness: &WitnessSpec, problems: &mut Vec<Problem>) -> Option<(Region, LedgerSettings)> {
    refuse_unknown_kind("witness.kind", &witness.kind, &[WITNESS, WITNESS_S3], problems);
    let place = "`witness.settings`".to_owned();
    let mut reader = Reader::new(Some(&witness.settings), "witness.settings".to_owned(), place);
    let settings = if witness.kind == WITNESS_S3 {
        LedgerSettings::Bucket(s3::read(&mut reader))
    } else {
        LedgerSettings::Table(reader.text("table", "the name of the ledger's own table"))
    };
    problems.extend(reader.finish());
    if witness.region.is_none() {
        let advice =
            "add `region = \"...\"` to `witness` in the overlay: a region that the deployment does not use";
        problems.push(Problem::new("witness.region", "is missing").with_advice(advice));
    }
    witness.region.clone().map(|region| (region, settings))
}

/// Says whether the kind is none of those that are served here.
fn refuse_unknown_kind(
    field: &str,
    kind: &str,
    served: &[&'static str],
    problems: &mut Vec<Problem>,
) -> bool {
    if served.contains(&kind) {
        return false;
    }
    let advice = match nearest(kind, served) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("this crate serves `{}`", served.join("` and `")),
    };
    problems
        .push(Problem::new(field, format!("`{kind}` is not a kind of mantissa-mr-aws")).with_advice(advice));
    true
}

/// The things that serve a deployment while they are made.
struct Making {
    clients: Arc<Clients>,
    regions: Vec<Region>,
    deadline: Duration,
    problems: Vec<Problem>,
    stores: BTreeMap<ResourceName, Arc<dyn ReplicatedStore>>,
    routers: BTreeMap<ResourceName, Arc<Route53Failover>>,
    scalers: BTreeMap<ResourceName, Arc<dyn ComputeScaler>>,
    checks: BTreeMap<ResourceName, Arc<dyn Check>>,
}

impl Making {
    fn group(&mut self, group: &GroupSpec) {
        for (list, resource) in group.resources() {
            let kinds: &[&str] = match list {
                "stores" => &[STORE, STORE_S3],
                "routers" => &[ROUTER],
                "scalers" => &[SCALER],
                _ => &[CHECK],
            };
            let field = format!("groups.{}.{list}.{}.kind", group.name, resource.name);
            if refuse_unknown_kind(&field, &resource.kind, kinds, &mut self.problems) {
                continue;
            }
            match list {
                "stores" if resource.kind == STORE_S3 => self.bucket(&group.name, resource),
                "stores" => self.store(&group.name, resource),
                "routers" => self.router(&group.name, resource),
                "scalers" => self.scaler(&group.name, resource),
                _ => self.check(&group.name, resource),
            }
        }
    }

    fn store(&mut self, group: &GroupName, store: &ResourceSpec) {
        let mut reader = Reader::resource(group, "stores", store);
        let settings = GlobalTableSettings {
            table: reader.text("table", "the name of the Global Table"),
            canary: reader.flag("canary"),
            compare_limit: reader.number("compare-limit", 1..=100_000_000, store::COMPARE_LIMIT),
            undo: reader.word("late-writes", &["undone", "unseen"], "undone") == "undone",
        };
        self.problems.extend(reader.finish());
        self.refuse_region_settings(group, "stores", store);
        // One look at a table must fit into a call, so a call does no more than half of what it may.
        let table = GlobalTable::new(self.clients.clone(), self.regions.clone(), settings, self.deadline / 2);
        self.stores.insert(store.name.clone(), Arc::new(table));
    }

    fn bucket(&mut self, group: &GroupName, store: &ResourceSpec) {
        let settings = bucket::read(group, store, &self.regions, &mut self.problems);
        let made = S3Bucket::new(self.clients.clone(), self.regions.clone(), settings, self.deadline / 2);
        self.stores.insert(store.name.clone(), Arc::new(made));
    }

    fn router(&mut self, group: &GroupName, router: &ResourceSpec) {
        let settings = router::read(group, router, &self.regions, &mut self.problems);
        // Records and buckets are looked at at the same time, and a change follows within the same call.
        if let Some(made) = settings.build(&self.clients, self.deadline / 3) {
            self.routers.insert(router.name.clone(), Arc::new(made));
        }
    }

    fn scaler(&mut self, group: &GroupName, scaler: &ResourceSpec) {
        let made = scaler::read(group, scaler, self.clients.clone(), &mut self.problems);
        self.refuse_region_settings(group, "scalers", scaler);
        self.scalers.insert(scaler.name.clone(), Arc::new(made));
    }

    fn check(&mut self, group: &GroupName, check: &ResourceSpec) {
        let mut reader = Reader::resource(group, "checks", check);
        let table = reader.text("table", "the table's name");
        self.problems.extend(reader.finish());
        self.refuse_region_settings(group, "checks", check);
        self.checks.insert(check.name.clone(), Arc::new(TableCheck::new(self.clients.clone(), table)));
    }

    /// Only routers and buckets have settings for each region.
    fn refuse_region_settings(&mut self, group: &GroupName, list: &str, resource: &ResourceSpec) {
        for region in resource.regions.keys() {
            self.problems.extend(Reader::region(group, list, resource, region).finish());
        }
    }

    fn finish(self, witness: Option<(Region, LedgerSettings)>) -> Result<Connected, Problems> {
        Problems::check(self.problems)?;
        let way = |region: &Region| {
            let client = self.clients.region(region)?.dynamodb.clone();
            Some(Way { region: region.clone(), client })
        };
        let ledger = witness.and_then(|(region, settings)| {
            let clients = self.clients.region(&region)?;
            Some(match settings {
                LedgerSettings::Table(table) => {
                    let others = self.regions.iter().filter_map(way).collect();
                    Ledger::DynamoDb(Arc::new(DynamoDbCells::new(way(&region)?, others, table)))
                }
                LedgerSettings::Bucket(settings) => {
                    let cells = S3Cells::new(clients.s3.clone(), region, settings, self.deadline);
                    Ledger::S3(Arc::new(cells))
                }
            })
        });
        // Without a witness there was a problem.
        let ledger = ledger.ok_or_else(|| Problem::new("witness.region", "is missing"))?;
        let cells: Arc<dyn CellStore> = match &ledger {
            Ledger::DynamoDb(cells) => cells.clone(),
            Ledger::S3(cells) => cells.clone(),
        };
        let routers = self.routers.iter().map(|(name, router)| {
            let router: Arc<dyn TrafficRouter> = router.clone();
            (name.clone(), router)
        });
        Ok(Connected {
            cells,
            stores: self.stores,
            routers: routers.collect(),
            scalers: self.scalers,
            checks: self.checks,
            ledger,
            failovers: self.routers,
        })
    }
}
