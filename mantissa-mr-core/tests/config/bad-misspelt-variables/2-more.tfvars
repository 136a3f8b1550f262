hosted_zone_ids = ["the overlay refers to it"]
secondary_region_scal = 0.5
