"""Find files and turn them into pixels, whatever they hold."""
