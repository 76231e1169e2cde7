"""Measures imrec-pg beside the alternatives; docs/benchmark.md explains each line."""
