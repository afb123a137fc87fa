"""How many replicas a service should have for the load it gets: the rule alone. Pure; imports nothing but `spec`."""
