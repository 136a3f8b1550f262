primary_region = "us-east-1"
project = "mantissa-log"
