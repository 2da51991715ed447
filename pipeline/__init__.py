"""alpharho: what MobileNet's width and resolution multipliers cost."""
