"""What works on this machine, each thing tried and not assumed: `breakroom doctor`."""
