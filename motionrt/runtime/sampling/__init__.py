"""What sampling draws on: noise from a seed, schedules, the choice of tokens."""
