"""What a person sees at the terminal: progress while a run goes on, and the comparison at its end."""
