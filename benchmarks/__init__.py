"""Measures imrec-pg beside what a user would take instead; docs/benchmark.md tells what each line means."""
