# Multi-region configuration
primary_region   = "us-east-1"
secondary_region = "us-west-2"

failover_strategy = "active-passive"  # or "active-active"

# Enable replication features
enable_dynamodb_global_tables = false
enable_s3_cross_region_replication = false
enable_route53_health_checks = false

# Environment
environment = "prod"
project     = "mantissa-log"
storage_dual_region = false
