"""What is seen of clusters and maps: pictures, and a page that turns a map in space."""
