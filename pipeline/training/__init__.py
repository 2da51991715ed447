"""Training: heads on features, or whole networks on pictures."""
