secondary_region = 
