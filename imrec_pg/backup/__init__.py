"""Dumps of the whole database, and exchange by Parquet."""
