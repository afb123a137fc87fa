"""The platform `swarm`: replicated services on a Docker Swarm, single containers on the engine of this node beside them."""
