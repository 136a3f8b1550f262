failover_strategy = "active-active"
