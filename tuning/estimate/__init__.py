"""What a sweep will cost, measured and added up; for --plan."""
