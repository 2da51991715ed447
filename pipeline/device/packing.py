"""What lies in a file: the operations of LiteRT's (a FlatBuffer), and a text, put where its format has room for one."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from pipeline.shell.errors import UserError

IDENTIFIER = b"TFL3"  # behind the first four bytes
SIGNATURE, INPUT, OUTPUT = "classify", "picture", "probabilities"
_ONNX = b"\x08"  # the field of the version of its format
_ZIP = b"PK\x03\x04"  # as which Keras' files begin
ALIGNMENT = 16  # bytes, that the schema asks for where weights begin; TensorFlow's own writer heeds four of them
_CUSTOM = "CUSTOM"


def is_known(content: bytes) -> bool:
    """Whether it begins as files of LiteRT, ONNX or Keras do."""
    return _is_litert(content) or content.startswith((_ONNX, _ZIP))


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


def with_text(content: bytes, name: str, text: str) -> bytes:
    """The file with `text`, of this name, among its metadata, as it is; of LiteRT also with a signature.

    Raises UserError where there is no room.
    """
    if _is_litert(content):
        return _in_litert(content, name, text)
    return _in_keras(content, text) if content.startswith(_ZIP) else _in_onnx(content, name, text)


def _is_litert(content: bytes) -> bool:
    return content[4:8] == IDENTIFIER


def _in_keras(content: bytes, text: str) -> bytes:
    """As the comment of the archive that it is."""
    comment = text.encode()
    if len(comment) > zipfile.ZIP_MAX_COMMENT:
        raise UserError(
            f"wanted names of classes that a file of Keras has room for. Received: {len(comment):,} bytes with what "
            f"else it tells, of {zipfile.ZIP_MAX_COMMENT:,} at most. Try: --formats float32,onnx"
        )
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.comment = comment
    return whole.getvalue()


def _in_onnx(content: bytes, name: str, text: str) -> bytes:
    import onnx

    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {name: text})
    return bytes(model.SerializeToString())


def _in_litert(content: bytes, name: str, text: str) -> bytes:
    """With a signature SIGNATURE, whose input is called INPUT and whose output OUTPUT."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs = [_named(schema.TensorMapT(), INPUT, graph.inputs[0])]
    signature.outputs = [_named(schema.TensorMapT(), OUTPUT, graph.outputs[0])]
    model.signatureDefs = [signature]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = name.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return _written(model)


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
