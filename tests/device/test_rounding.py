from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.device import litert, rounding


def rounded(weights: np.ndarray) -> np.ndarray:
    """As the converter rounds them: 127 steps to either side, for each output."""
    step = np.abs(weights).max(axis=tuple(range(weights.ndim - 1)), keepdims=True) / 127
    return np.round(weights / np.where(step == 0, 1, step)) * step


def by_rounded_weights(network: rounding.Network) -> rounding.Network:
    """In floating point, its batch normalisation folded into weights that are rounded."""
    copy = keras.models.clone_model(network.backbone)
    copy.set_weights(network.backbone.get_weights())
    convolutions = [one for one in copy.layers if isinstance(one, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)]
    norms = [one for one in copy.layers if isinstance(one, keras.layers.BatchNormalization)]
    for conv, norm in zip(convolutions, norms, strict=True):
        factor = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        weights = conv.get_weights()[0]
        if isinstance(conv, keras.layers.DepthwiseConv2D):
            new = np.swapaxes(rounded(np.swapaxes(weights, 2, 3) * factor) / factor, 2, 3)
        else:
            new = rounded(weights * factor) / factor
        conv.set_weights([new])
    return rounding.Network(copy, rounded(network.kernel), network.bias, network.centre)


def logits(network: rounding.Network, pictures: np.ndarray) -> np.ndarray:
    return (network.backbone(pictures, training=False).numpy() - network.centre) @ network.kernel + network.bias


def test_the_mean_of_every_feature_stays_when_weights_are_rounded(device_files):
    model = device_files.model()
    network = litert.network_of(model)
    pictures = litert.preprocessed(model, device_files.array("calibration")[:64]).numpy()

    def features(network: rounding.Network) -> np.ndarray:
        return network.backbone(pictures, training=False).numpy()

    expected = features(network)
    plain = features(by_rounded_weights(network)) - expected
    better = features(by_rounded_weights(rounding.corrected(network, pictures))) - expected
    assert np.abs(better.mean(axis=0)).mean() < 0.85 * np.abs(plain.mean(axis=0)).mean()
    np.testing.assert_array_equal(features(network), expected)  # the given one is as it was


def test_what_the_logits_of_all_classes_share_is_not_in_a_file(device_files):
    model = device_files.model()
    head = model.get_layer("head")
    kernel, bias = head.get_weights()
    head.set_weights([kernel + 10, bias + 1000])
    network = litert.network_of(model)
    np.testing.assert_allclose(network.kernel, kernel - kernel.mean(axis=1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(network.bias, bias - bias.mean(), atol=1e-3)


def test_around_the_mean_of_the_features_a_rounded_kernel_shifts_no_logit(device_files):
    model = device_files.model()
    network = litert.network_of(model)
    pictures = litert.preprocessed(model, device_files.array("calibration")[:64]).numpy()
    centred = rounding.centred(network, pictures)
    expected = logits(network, pictures)
    np.testing.assert_allclose(logits(centred, pictures), expected, atol=1e-3)
    half = [
        logits(rounding.Network(one.backbone, one.kernel.astype(np.float16), one.bias, one.centre), pictures)
        for one in (network, centred)
    ]
    plain, better = (np.abs((found - expected).mean(axis=0)).max() for found in half)
    assert better < 0.1 * plain


@pytest.mark.parametrize("name", ["MobileNetV2", "InceptionV3"])
def test_other_networks_stay_what_they_are(name):
    """Their random weights are small, and so is what is taken back."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), pooling="avg", include_top=False)
    noise = np.random.default_rng(0).normal(size=(2, 96, 96, 3)).astype(np.float32)
    width = model.output.shape[-1]
    network = rounding.Network(model, np.eye(width, 3, dtype=np.float32), np.zeros(3, np.float32))
    better = rounding.corrected(network, noise)
    expected = model(noise, training=False).numpy()
    np.testing.assert_allclose(better.backbone(noise, training=False), expected, atol=1e-3)
