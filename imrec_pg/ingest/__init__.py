"""From folder to database: find, read, decode, extract, write, as a chain of generators."""
