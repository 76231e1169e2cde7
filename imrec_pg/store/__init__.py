"""The only place that speaks SQL: connect, write, search, schema."""
