"""The built-in drills: data files only, read by `spec.loader`; their list, by `spec.index`."""
