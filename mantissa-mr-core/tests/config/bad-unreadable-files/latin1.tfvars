project = "müller"
