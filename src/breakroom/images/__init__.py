"""The sample apps as Docker images: what goes into each, and building them. Used by `breakroom images`."""
