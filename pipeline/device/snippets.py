"""Examples on a card: some twenty lines that ask a file about a picture, in Python, and in Kotlin for Android."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_EXAMPLES = Path(__file__).with_name("examples")


class _Python(NamedTuple):
    """How one runtime is asked: the package to install, how it is imported, a file opened, `small` answered."""

    package: str
    imports: str
    opens: str
    answers: str


_LITERT = _Python(
    "ai-edge-litert",
    "from ai_edge_litert.interpreter import Interpreter",
    """interpreter = Interpreter("{file}")
interpreter.allocate_tensors()
taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]""",
    """interpreter.set_tensor(taken["index"], small[None])
interpreter.invoke()
probabilities = interpreter.get_tensor(given["index"])[0] * (given["quantization"][0] or 1)""",
)
_PYTHON = {
    "onnx": _Python(
        "onnxruntime",
        "from onnxruntime import InferenceSession",
        'session = InferenceSession("{file}")',
        'probabilities = session.run(["probabilities"], {"picture": small[None]})[0][0]',
    ),
    "keras": _Python(
        "tensorflow",
        "import keras",
        'model = keras.saving.load_model("{file}")',
        "probabilities = model.predict_on_batch(small[None])[0]",
    ),
}
_GRADLE = {"onnx": "com.microsoft.onnxruntime:onnxruntime-android:1.22.0"}
_LITERT_GRADLE = "com.google.ai.edge.litert:litert:1.4.0"
_KOTLIN = {
    "int8": """val output = Array(1) {{ ByteArray({classes}) }}
    Interpreter(model).run(input.rewind(), output)
    return FloatArray({classes}) {{ (output[0][it].toInt() and 0xff) / 256f }}""",
    "float": """val output = Array(1) {{ FloatArray({classes}) }}
    Interpreter(model).run(input.rewind(), output)
    return output[0]""",
    "onnx": """val shape = longArrayOf(1, side.toLong(), side.toLong(), 3)
    input.rewind()
    val runtime = OrtEnvironment.getEnvironment()
    OnnxTensor.createTensor(runtime, input, shape, OnnxJavaType.UINT8).use {{ picture ->
        runtime.createSession(model).use {{ session ->
            session.run(mapOf("picture" to picture)).use {{ return (it[0].value as Array<FloatArray>)[0] }}
        }}
    }}""",
}


def python(file: str, precision: str) -> str:
    """A whole program that is given the name of a picture; `file` is that of the model."""
    one = _PYTHON.get(precision, _LITERT)
    text = _EXAMPLES.joinpath("answer.py.txt").read_text(encoding="utf-8")
    text = text.replace("{package}", one.package).replace("{imports}", one.imports)
    text = text.replace("{opens}", one.opens).replace("{answers}", one.answers)
    return text.replace("{stem}", Path(file).stem).replace("{file}", file)


def kotlin(told: Mapping[str, Any]) -> str:
    """A function, of a file whose card says what is told; empty for Keras' own, which no phone runs."""
    precision = told["precision"]
    if precision == "keras":
        return ""
    output = _KOTLIN[precision if precision in _KOTLIN else "float"].format(classes=told["output"]["shape"][1])
    text = _EXAMPLES.joinpath("Answer.kt.txt").read_text(encoding="utf-8")
    text = text.replace("{gradle}", _GRADLE.get(precision, _LITERT_GRADLE))
    text = text.replace("{below}", f"{told['reject_below']:.4f}")
    return text.replace("{side}", str(told["side"])).replace("{output}", output)
