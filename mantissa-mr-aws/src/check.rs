//! Checks that ask AWS itself.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::TableStatus;
use mantissa_mr_core::check::{Assessment, Check, Fitness};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;

use crate::clients::Clients;
use crate::table;

/// Whether a DynamoDB table takes reads and writes in a region. Settings: `table`.
pub struct TableCheck {
    clients: Arc<Clients>,
    table: String,
}

impl TableCheck {
    pub(crate) fn new(clients: Arc<Clients>, table: String) -> Self {
        Self { clients, table }
    }
}

#[async_trait]
impl Check for TableCheck {
    async fn assess(&self, region: &Region) -> Result<Assessment> {
        let Some(clients) = self.clients.region(region) else {
            let error =
                Error::new(ErrorKind::InvalidInput, "assess", "it is not one of the deployment's regions");
            return Err(error.in_region(region));
        };
        let name = &self.table;
        match table::describe(&clients.dynamodb, region, name).await {
            Ok(Some(table)) => {
                let status = table.table_status().map_or("unknown", TableStatus::as_str);
                let fitness = if table::serves(table.table_status()) { Fitness::Fit } else { Fitness::Unfit };
                Ok(Assessment::new(fitness, format!("table {name} is {status}")))
            }
            Ok(None) => Ok(Assessment::new(Fitness::Unfit, format!("there is no table {name}"))),
            // The service itself does not serve: that is the answer.
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                Ok(Assessment::new(Fitness::Unfit, error.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for TableCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableCheck").field("table", &self.table).finish()
    }
}
