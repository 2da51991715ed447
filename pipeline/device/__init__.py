"""On the device: files made of a model, proof that they answer as it does, and what runs them without TensorFlow."""
