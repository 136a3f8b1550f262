# The product's other variables, as its own files have them
tags = {
  Project     = "mantissa-log"
  "cost:team" = "security" // quoted key
  (var.key)   = "computed"
}
/* a block
   comment */
enable_collectors = { okta = true, github = false, slack = null }
alert_destinations = [
  { name = "soc", type = "slack", severity = ["high", "critical"] },
  { name = "mail", type = "email", to = var.mail },
]
subnet_ids  = ["subnet-1", "subnet-2",]
policy_json = <<POLICY
{ "Version": "2012-10-17", "x": "${var.y}" }
POLICY
banner      = "${upper("x")} %{ if true }y%{ endif }"
computed    = 1 + 2 * max(3, 4)
negative    = -5
nothing     = null
regions     = [for r in var.all : r if r != "x"]
db_password = "hunter2"
tag         = "near to tags, and not our business"
region      = "us-east-1"
primary_regions = ["the right one is set as well"]
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
