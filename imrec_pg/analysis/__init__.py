"""What is in a library as a whole: clusters of alike images, and maps on which alike images lie together."""
