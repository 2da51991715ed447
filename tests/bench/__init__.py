"""Measurements, each a program of its own: `make bench`. TensorFlow is set up before any of them imports it."""

from pipeline.networks import devices

devices.set_up()
