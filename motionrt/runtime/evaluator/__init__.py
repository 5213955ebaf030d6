"""Judging motions by networks: texts and motions embedded in one space, and what follows."""
