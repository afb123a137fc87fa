"""The platform `swarm`: services under a real Docker Swarm, of one node or many."""
