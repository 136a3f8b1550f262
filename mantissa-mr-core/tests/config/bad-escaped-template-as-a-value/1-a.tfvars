# Multi-region configuration
primary_region   = "us-east-1"
secondary_region = "us-west-2"

failover_strategy = "active-passive"  # or "active-active"

# Enable replication features
enable_dynamodb_global_tables = true
enable_s3_cross_region_replication = true
enable_route53_health_checks = true

# Environment
environment = "prod"
project     = "mantissa-log"
pattern = "$${x}"
