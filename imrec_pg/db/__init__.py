"""The one way to PostgreSQL: connections, sessions, retries, schema."""
