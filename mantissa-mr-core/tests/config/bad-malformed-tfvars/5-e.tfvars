list = [1, 2
project = "x"
