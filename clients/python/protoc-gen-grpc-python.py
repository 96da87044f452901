"""A protoc plugin for buf: the Python stubs of gRPC, which grpcio-tools has only inside its own protoc."""

import pathlib
import sys
import tempfile

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
response = plugin_pb2.CodeGeneratorResponse(
    supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
)
with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder, "out")
    out.mkdir()
    files = pathlib.Path(folder, "files.binpb")
    files.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
    code = protoc.main(
        ["protoc", f"--descriptor_set_in={files}", f"--grpc_python_out={out}", *request.file_to_generate]
    )
    if code != 0:
        sys.exit(code)
    for made in sorted(out.rglob("*.py")):
        # Files without a service would be empty but for their imports.
        if "grpc.unary_unary" in (text := made.read_text()) or "def __init__(self, channel)" in text:
            response.file.add(name=made.relative_to(out).as_posix(), content=text)
sys.stdout.buffer.write(response.SerializeToString())
