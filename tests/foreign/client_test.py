"""A client that knows nothing but a coordinator's address: python3-grpcio and reflection."""

import pathlib
import subprocess
import sys
import unittest

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
MODEL = pathlib.Path(__file__).resolve().parents[2] / "models" / "tiny"
SECONDS = 60  # for what takes much less


class Api:
    """The services at `channel`, as reflection describes them."""

    def __init__(self, channel):
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = descriptor_pool.DescriptorPool(self._database)

    def services(self):
        return set(self._database.get_services())

    def _message(self, descriptor):
        return message_factory.MessageFactory(self._pool).GetPrototype(descriptor)

    def call(self, service, method, **fields):
        """A unary call gives a dictionary, a streaming one an iterator of them."""
        described = self._pool.FindServiceByName(service).methods_by_name[method]
        request = json_format.ParseDict(fields, self._message(described.input_type)())
        response = self._message(described.output_type)
        options = (f"/{service}/{method}", lambda message: message.SerializeToString(),
                   response.FromString)
        # Descriptors of this version do not tell whether a method streams; its file does.
        proto = self._database.FindFileContainingSymbol(service)
        streams = any(m.server_streaming for s in proto.service for m in s.method
                      if s.name == service.rpartition(".")[2] and m.name == method)
        if not streams:
            return self._dictionary(self._channel.unary_unary(*options)(request, timeout=SECONDS))
        pieces = self._channel.unary_stream(*options)(request, timeout=SECONDS)
        return (self._dictionary(piece) for piece in pieces)

    @staticmethod
    def _dictionary(message):
        return json_format.MessageToDict(message, preserving_proto_field_name=True)


class ForeignClient(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [BIN / "expertmesh", "serve", "--model", MODEL, "--listen", "127.0.0.1:0",
             "--log-level", "error"], stdout=subprocess.PIPE, text=True)
        line = cls.server.stdout.readline()
        cls.channel = grpc.insecure_channel(line.removeprefix("listening on ").strip())
        health = health_pb2_grpc.HealthStub(cls.channel)
        asked = health_pb2.HealthCheckRequest(service="expertmesh.v1.Generation")
        for seen in health.Watch(asked, timeout=SECONDS):
            if seen.status == health_pb2.HealthCheckResponse.SERVING:
                break
        cls.api = Api(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.server.terminate()
        assert cls.server.wait(SECONDS) == 0, "it ends in order"
        cls.server.stdout.close()

    def test_reflection_lists_the_services(self):
        self.assertEqual(
            self.api.services(),
            {"expertmesh.v1.Generation", "expertmesh.v1.Admin", "grpc.health.v1.Health",
             "grpc.reflection.v1alpha.ServerReflection"})

    def test_streams_a_completion(self):
        fields = {"text": "Experts come", "stopping": {"max_tokens": 8},
                  "sampling": {"temperature": 1, "seed": 7}}
        pieces = list(self.api.call("expertmesh.v1.Generation", "GenerateStream", **fields))
        self.assertEqual(pieces[0]["seed"], "7")
        self.assertGreater(pieces[0]["prompt_tokens"], 0)
        self.assertEqual(pieces[-1]["finish_reason"], "FINISH_REASON_LENGTH")
        self.assertEqual(sum(len(piece.get("tokens", [])) for piece in pieces), 8)
        whole = self.api.call("expertmesh.v1.Generation", "Generate", **fields)
        self.assertEqual("".join(piece.get("text", "") for piece in pieces),
                         whole["choices"][0]["text"])

    def test_an_error_tells_its_code_and_why(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.api.call("expertmesh.v1.Generation", "Generate", text="")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("text is empty", caught.exception.details())

    def test_a_stock_health_client_works(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        for service in ("", "expertmesh.v1.Generation"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)
        with self.assertRaises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="no.Such"), timeout=SECONDS)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)


if __name__ == "__main__":
    unittest.main(verbosity=2)
