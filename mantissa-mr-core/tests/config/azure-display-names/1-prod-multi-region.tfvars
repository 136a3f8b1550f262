primary_location = "East US"
secondary_location = "West US 2"
failover_strategy = "active-passive"
cosmos_multi_region_write = true
project = "p"
environment = "e"
