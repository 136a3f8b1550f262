# Multi-region configuration
primary_region   = "us-central1"
secondary_region = "us-east1"

failover_strategy = "active-passive"

# Enable replication
bigquery_location      = "US"  # Multi-region dataset
storage_dual_region    = true
firestore_multi_region = false  # Limited support

# Environment
environment = "prod"
project     = "mantissa-log"
