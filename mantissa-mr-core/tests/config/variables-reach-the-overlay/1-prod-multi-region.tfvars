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

hosted_zone_id             = "Z0123456789"
domain_name                = "example.com"
primary_dynamodb_table_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/mantissa-log-state"
witness_region             = "us-east-2"
subnet_ids                 = ["subnet-1", "subnet-2"]
limits                     = { soft = 10, hard = 2.5, note = null }
pattern                    = "$${not a template}"
text                       = <<-EOT
  two
    lines
EOT
plain = <<EOT
  two
    lines
EOT
