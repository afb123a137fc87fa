"""One adapter a platform, behind one protocol (`base`). The director and the faults know nothing else of platforms."""
