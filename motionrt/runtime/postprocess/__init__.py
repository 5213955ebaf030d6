"""Clean-up of a generated motion: foot skate removed, constraints met exactly."""
