"""Features: what a frozen backbone makes of each picture, computed once and kept."""
