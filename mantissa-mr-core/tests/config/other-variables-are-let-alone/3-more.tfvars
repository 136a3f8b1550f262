prefect = "short, and two slips from project"
