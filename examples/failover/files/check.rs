//! Whether a region serves: a file says that it does not.

use std::sync::Arc;

use async_trait::async_trait;
use mantissa_mr_core::check::{Assessment, Check, Fitness};
use mantissa_mr_core::deployment::ResourceSpec;
use mantissa_mr_core::error::Result;
use mantissa_mr_core::name::{Region, ResourceName};

use super::World;

/// A check over the files `DOWN`, `UNFIT` and `DEGRADED` of a region.
#[derive(Debug)]
pub(super) struct FileCheck {
    world: Arc<World>,
    name: ResourceName,
}

impl FileCheck {
    pub(super) fn new(world: Arc<World>, resource: &ResourceSpec) -> Self {
        Self { world, name: resource.name.clone() }
    }

    pub(super) fn name(&self) -> &ResourceName {
        &self.name
    }
}

#[async_trait]
impl Check for FileCheck {
    async fn assess(&self, region: &Region) -> Result<Assessment> {
        if !self.world.region(region).is_dir() {
            return Err(self.world.missing("assess", &format!("the region {region}")));
        }
        Ok(if self.world.is_down(region) {
            Assessment::new(Fitness::Unfit, format!("regions/{region}/DOWN is there"))
        } else if self.world.says(region, "UNFIT") {
            Assessment::new(Fitness::Unfit, format!("regions/{region}/UNFIT is there"))
        } else if self.world.says(region, "DEGRADED") {
            Assessment::new(Fitness::Degraded, format!("regions/{region}/DEGRADED is there"))
        } else {
            Assessment::new(Fitness::Fit, "it answers")
        })
    }
}
