"""The report's charts as plain Plotly figure dictionaries, one chart a file; no chart reads a file or knows HTML."""
