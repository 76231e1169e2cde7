"""What is stored: roots, files, indexes, and their state."""
