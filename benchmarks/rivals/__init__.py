"""What a user would take instead, written as such a user would; it shares no extraction code with ours."""
