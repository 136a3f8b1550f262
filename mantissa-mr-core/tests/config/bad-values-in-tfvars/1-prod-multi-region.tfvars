# Multi-region configuration
primary_region   = 5
secondary_region = "us west 2"

failover_strategy = "active-passive"  # or "active-active"

# Enable replication features
enable_dynamodb_global_tables = true
enable_s3_cross_region_replication = "yes"
enable_route53_health_checks = true

# Environment
environment = ["prod"]
project     = "mantissa-log"
secondary_region_scale = "lots"
domain_name = true
storage_replication_type = "RS"
