//! How much compute simulated regions have: it takes time to come, and may not come at all.

use crate::compute::{Capacity, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Region, ResourceName};
use crate::sim::clock::TrueTime;
use crate::sim::random::{Random, Spread};

#[derive(Clone, Debug)]
pub(crate) struct Scaler {
    pub(crate) name: ResourceName,
    pub(crate) start: Spread,
    pub(crate) full: u64,
    pools: Vec<Pool>,
    random: Random,
}

/// One region's compute. What is asked for beyond what is there comes evenly between two times.
#[derive(Clone, Copy, Debug)]
struct Pool {
    requested: u64,
    had: u64,
    asked: TrueTime,
    there: TrueTime,
    quota: u64,
    /// What the provider really has to give, whatever it accepts.
    stock: u64,
}

impl Scaler {
    /// `has` says what each region begins with.
    pub(crate) fn new(
        name: &ResourceName,
        start: Spread,
        full: u64,
        quota: u64,
        has: Vec<u64>,
        random: Random,
    ) -> Self {
        let begin = TrueTime::START;
        let pool =
            |has| Pool { requested: has, had: has, asked: begin, there: begin, quota, stock: u64::MAX };
        Self { name: name.clone(), start, full, pools: has.into_iter().map(pool).collect(), random }
    }

    fn ready(&self, at: TrueTime, region: usize) -> u64 {
        let Pool { requested, had, asked, there, stock, .. } = self.pools[region];
        let (passed, takes) = (at.since(asked).as_nanos(), there.since(asked).as_nanos());
        let more = u128::from(requested.saturating_sub(had));
        let come = if passed >= takes { more } else { more * passed / takes };
        let there = had.min(requested).saturating_add(u64::try_from(come).unwrap_or(u64::MAX));
        there.min(stock)
    }

    pub(crate) fn capacity(&self, at: TrueTime, region: usize) -> Capacity {
        let pool = self.pools[region];
        Capacity {
            ready: self.ready(at, region),
            requested: pool.requested,
            full: self.full,
            limit: Some(pool.quota),
            unit: "instances".into(),
        }
    }

    pub(crate) fn scale(&mut self, at: TrueTime, region: usize, name: &Region, target: Target) -> Result<()> {
        let wanted = target.units(self.full);
        let pool = self.pools[region];
        if wanted > pool.quota {
            let message = format!("{wanted} instances are more than the quota of {}", pool.quota);
            return Err(Error::new(ErrorKind::Quota, "scale", message)
                .on(&self.name)
                .in_region(name)
                .with_advice("ask the provider for a higher quota"));
        }
        if wanted == pool.requested {
            return Ok(());
        }
        let had = self.ready(at, region).min(wanted);
        let there = at + self.random.span(self.start);
        self.pools[region] = Pool { requested: wanted, had, asked: at, there, ..pool };
        Ok(())
    }

    pub(crate) fn set_quota(&mut self, region: usize, quota: u64) {
        self.pools[region].quota = quota;
    }

    pub(crate) fn set_stock(&mut self, region: usize, stock: u64) {
        self.pools[region].stock = stock;
    }

    /// Takes every shortage back; quotas stay as they were made.
    pub(crate) fn heal(&mut self, quota: u64) {
        for pool in &mut self.pools {
            pool.quota = pool.quota.max(quota);
            pool.stock = u64::MAX;
        }
    }
}
