environment = "prod"
environment = "staging"
