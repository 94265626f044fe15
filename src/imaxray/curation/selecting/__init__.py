"""Selects IMAX and DMAX from a catalog."""
