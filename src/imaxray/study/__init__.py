"""Study stage."""
