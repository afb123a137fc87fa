"""Acts on the processes and links of one node: signals, netem, firewall, memory. Standard library and pyroute2 only.

Run as root on a Docker host, or in a container of breakroom's own image; `platforms.docker.hands` calls it.
"""
