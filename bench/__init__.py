"""Measures this system beside what else one would pick: `make bench`."""
