# Multi-region configuration
primary_location   = "eastus"
secondary_location = "westus2"

failover_strategy = "active-passive"

# Enable replication
cosmos_multi_region_write = false  # true for active-active
storage_replication_type  = "ZRS"  # Geo-redundant storage

# Environment
environment = "prod"
project     = "mantissa-log"
