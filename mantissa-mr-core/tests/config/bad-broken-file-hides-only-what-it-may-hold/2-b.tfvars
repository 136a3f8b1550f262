primary_region = "us-east-1"
failover_stratgy = "active-passive"
