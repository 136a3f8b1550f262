storage_replication_type = "LRS"
