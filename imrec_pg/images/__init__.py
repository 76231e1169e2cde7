"""Find image files, read them and decode them to pixels."""
