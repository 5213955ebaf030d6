"""What sampling draws on: noise from a seed, and schedules."""
