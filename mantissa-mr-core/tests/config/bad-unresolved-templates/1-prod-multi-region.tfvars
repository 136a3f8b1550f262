# Multi-region configuration
primary_region   = "us-east-1"
secondary_region = "${var.region}-2"

failover_strategy = lookup(var.x, "y")  # or "active-active"

# Enable replication features
enable_dynamodb_global_tables = true
enable_s3_cross_region_replication = true
enable_route53_health_checks = true

# Environment
environment = var.environment
project     = mantissa
hosted_zone_id = "%{ if a }b%{ endif }"
secondary_region_scale = 1 / 10
other = "${var.let_alone}"
map = { a = var.b }
