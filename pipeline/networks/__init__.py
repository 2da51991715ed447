"""Networks: backbones, what they cost, what computes them."""
