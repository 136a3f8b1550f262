project == "x"
