"""What to run: services, drills and contenders, and how they are read from files. Pure; the lowest room."""
