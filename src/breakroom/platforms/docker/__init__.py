"""The platform `docker`: single containers on a Docker Engine, and what the platform `swarm` shares with it."""
