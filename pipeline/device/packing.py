"""The tables of a LiteRT file (a FlatBuffer): its operations, and how a signature and a text are put into it; and
into an ONNX file a text."""

from __future__ import annotations

from typing import Any

import numpy as np

IDENTIFIER = b"TFL3"  # behind the first four bytes
SIGNATURE = "classify"
ALIGNMENT = 16  # bytes, that the schema asks for where weights begin; TensorFlow's own writer heeds four of them
_CUSTOM = "CUSTOM"


def is_litert(content: bytes) -> bool:
    """Whether it begins as LiteRT files do."""
    return content[4:8] == IDENTIFIER


def operations(content: bytes) -> tuple[str, ...]:
    """The operations of a file, each once: builtin ones by the schema's names, such as CONV_2D, others by their own."""
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    codes = schema.ModelT.InitFromPackedBuf(content, 0).operatorCodes
    found = (
        _text(code.customCode) if names.get(code.builtinCode) == _CUSTOM else names[code.builtinCode] for code in codes
    )
    return tuple(sorted(set(found)))


def foreign(content: bytes) -> tuple[str, ...]:
    """The operations that LiteRT alone cannot run: TensorFlow's (FlexErf), and those that somebody made."""
    from ai_edge_litert import schema_py_generated as schema

    return tuple(name for name in operations(content) if not hasattr(schema.BuiltinOperator, name))


def with_text(content: bytes, name: str, text: str, inputs: str, outputs: str) -> bytes:
    """The file, of one input and one output, with a signature and with `text` among its metadata.

    Args:
        name: of the text.
        inputs, outputs: what the signature SIGNATURE calls the two.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs = [_named(schema.TensorMapT(), inputs, graph.inputs[0])]
    signature.outputs = [_named(schema.TensorMapT(), outputs, graph.outputs[0])]
    model.signatureDefs = [signature]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = name.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return _written(model)


def in_onnx(content: bytes, name: str, text: str) -> bytes:
    """An ONNX file with `text` among its metadata."""
    import onnx

    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {name: text})
    return bytes(model.SerializeToString())


def _named(entry: Any, name: str, tensor: int) -> Any:
    entry.name, entry.tensorIndex = name.encode(), int(tensor)
    return entry


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _written(model: Any) -> bytes:
    """The bytes of a file, whose weights lie at multiples of ALIGNMENT."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class Aligned(schema.BufferT):
        """Weights, or a text."""

        def Pack(self, builder: flatbuffers.Builder) -> int:
            """As the schema's own, which leaves the alignment out."""
            data = None
            if self.data is not None and len(self.data):
                content = np.asarray(self.data, np.uint8).tobytes()
                builder.StartVector(1, len(content), ALIGNMENT)
                builder.head -= len(content)
                builder.Bytes[builder.head : builder.head + len(content)] = content
                data = builder.EndVector()
            schema.BufferStart(builder)
            if data is not None:
                schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    model.buffers = [Aligned(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(2**20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
