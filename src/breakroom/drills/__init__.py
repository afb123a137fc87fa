"""The built-in drills: data files only, read by `spec.loader`."""
