environment = "prod"
primary_region = "eu-west-1"
secondary_region_scale = 0.5
domain_name = null
