"""A server for one export: KServe's `ModelServer`, which speaks TensorFlow Serving's REST predict and the Open Inference Protocol."""

import asyncio
import base64
import binascii
import concurrent.futures
import functools
import json
import logging
import re
import uuid

import kserve
import numpy as np
import tensorflow as tf
from kserve.errors import InvalidInput, ServerNotReady
from kserve.model_server import app as application

from cross_modal.serving import plain

_DEFAULT = "serving_default"
_WAITING = 32  # Batches of rows that may wait; what comes then gets a 503.


class ServedModel(kserve.Model):
    """Answers requests by the endpoints of an export.

    Requests that come while others are being answered are answered together. One that cannot be answered costs no other its answer.

    Args:
        name: what it is called in addresses.
        endpoints: dict of name to `Endpoint`, see `exporting.load`.
        max_rows: most rows of a request, and of requests that are answered together.
    """

    def __init__(self, name, endpoints, max_rows=64):
        super().__init__(name)
        self.endpoints, self.max_rows = endpoints, max_rows
        self._batchers, self._threads = {}, concurrent.futures.ThreadPoolExecutor(1)

    def load(self):
        self.ready = True
        return self.ready

    def validate(self, payload):
        return payload  # `predict` does, in its own words.

    async def predict(self, payload, headers=None, response_headers=None):
        """Answers one request; see https://www.tensorflow.org/tfx/serving/api_rest and https://github.com/kserve/open-inference-protocol."""
        if isinstance(payload, kserve.InferRequest):
            return await self._predict_v2(payload)
        if isinstance(payload, bytes):  # KServe decodes what says that it is JSON; TensorFlow Serving, whatever it says.
            try:
                payload = json.loads(payload)
            except ValueError as error:
                raise InvalidInput(f"Expected JSON. Received: {error}") from error
        if not isinstance(payload, dict) or ("instances" in payload) == ("inputs" in payload):
            raise InvalidInput('Expected {"instances": [...]} or {"inputs": {...}}, and "signature_name" where it is not the default. Received neither or both.')
        name = payload.get("signature_name", _DEFAULT)
        columns = self._by_rows(name, payload["instances"]) if "instances" in payload else self._by_columns(name, payload["inputs"])
        outputs = {key: [plain(key, one) for one in value] for key, value in (await self._ask(name, columns)).items()}
        if "inputs" in payload:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        rows = [dict(zip(outputs, values)) for values in zip(*outputs.values())]
        return {"predictions": rows if len(outputs) > 1 else [next(iter(row.values())) for row in rows]}

    async def _predict_v2(self, request):
        parameters = request.parameters or {}
        name = parameters.get("signature_name", _DEFAULT)
        given = {}
        for one in request.inputs:
            if one.datatype != "BYTES":
                raise InvalidInput(f"Expected inputs of datatype BYTES. Received: {one.name} of {one.datatype}")
            try:
                values = one.as_numpy().ravel().tolist()
            except ValueError as error:
                raise InvalidInput(f"Expected as many values of {one.name} as its shape says, {one.shape}. Received: {error}") from error
            given[one.name] = [{"b64": value} for value in values] if (one.parameters or {}).get("content_type") == "base64" else values
        outputs = await self._ask(name, self._by_columns(name, given))
        made = []
        for key, value in outputs.items():
            kind, encoded = _kind(value.dtype), key.endswith("_bytes")
            value = np.array([base64.b64encode(one) for one in value], object) if encoded else value
            output = kserve.InferOutput(key, list(value.shape), kind, parameters={"content_type": "base64"} if encoded else None)
            output.set_data_from_numpy(value if kind == "BYTES" else value.astype({"FP32": np.float32, "INT64": np.int64}[kind]), binary_data=False)
            made.append(output)
        return kserve.InferResponse(request.id or uuid.uuid4().hex, self.name, made)

    def get_input_types(self):
        return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in self._endpoint(_DEFAULT).signature]

    def get_output_types(self):
        specs = self._endpoint(_DEFAULT).compiled.structured_outputs
        return [
            {"name": name, "datatype": _kind(np.dtype(spec.dtype.as_numpy_dtype)), "shape": [-1 if size is None else size for size in spec.shape]} for name, spec in specs.items()
        ]

    def _endpoint(self, name):
        if not isinstance(name, str) or name not in self.endpoints:
            raise InvalidInput(f"Expected signature_name to be one of {', '.join(sorted(self.endpoints))}. Received: {name!r}")
        return self.endpoints[name]

    def _by_rows(self, name, rows):
        signature = list(self._endpoint(name).signature)
        if not isinstance(rows, list):
            raise InvalidInput(f"Expected instances to be a list. Received: {type(rows).__name__}")
        columns = {key: [] for key in signature}
        for place, row in enumerate(rows):
            row = row if isinstance(row, dict) and set(row) != {"b64"} else {_unnamed(signature, f"instances[{place}]"): row}
            _check_names(row, signature, f"instances[{place}]")
            for key in signature:
                columns[key].append(_raw(row.get(key, ""), f"instances[{place}].{key}"))
        return self._checked(columns)

    def _by_columns(self, name, given):
        signature = list(self._endpoint(name).signature)
        given = given if isinstance(given, dict) and set(given) != {"b64"} else {_unnamed(signature, "inputs"): given}
        _check_names(given, signature, "inputs")
        columns = {key: [_raw(value, f"inputs.{key}[{place}]") for place, value in enumerate(values if isinstance(values, list) else [values])] for key, values in given.items()}
        counts = {key: len(values) for key, values in columns.items()}
        if len(set(counts.values())) != 1:
            raise InvalidInput(f"Expected as many values of each input. Received: {counts}")
        count = next(iter(counts.values()))
        return self._checked({key: columns.get(key, [b""] * count) for key in signature})

    def _checked(self, columns):
        count = len(next(iter(columns.values())))
        if not 0 < count <= self.max_rows:
            raise InvalidInput(f"Expected 1 to {self.max_rows} rows in a request. Received: {count}")
        return columns

    async def _ask(self, name, columns):
        if name not in self._batchers:
            self._batchers[name] = _Batcher(self._endpoint(name), self.max_rows, self._threads)
        return await self._batchers[name].ask(columns)


class _Batcher:
    """Puts requests together that wait at the same time."""

    def __init__(self, endpoint, max_rows, threads):
        self.endpoint, self.max_rows, self.threads = endpoint, max_rows, threads
        self.waiting, self.task = [], None

    async def ask(self, columns):
        if sum(_count(waiting) for waiting, _ in self.waiting) >= _WAITING * self.max_rows:  # They would wait long, and take memory.
            raise ServerNotReady(f"Expected fewer than {_WAITING * self.max_rows} rows to be waiting. Ask again later.")
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((columns, answer))
        if self.task is None:
            self.task = asyncio.create_task(self._work())
        return await answer

    async def _work(self):
        run = functools.partial(asyncio.get_running_loop().run_in_executor, self.threads)
        while self.waiting:
            taken, rows = [], 0
            while self.waiting and (not taken or rows + _count(self.waiting[0][0]) <= self.max_rows):
                taken.append(self.waiting.pop(0))
                rows += _count(taken[-1][0])
            try:
                results = await run(_answer_all, self.endpoint, [columns for columns, _ in taken])
            except Exception as error:  # Those that come next are answered.
                results = [error] * len(taken)
            for (_, answer), result in zip(taken, results):
                if not answer.done():  # The client may have gone.
                    answer.set_exception(result) if isinstance(result, Exception) else answer.set_result(result)
        self.task = None


def _answer_all(endpoint, requests):
    """Answers requests as one batch; if that fails, each by itself. Returns for each a dict of arrays, or the error."""
    joined = {key: [value for columns in requests for value in columns[key]] for key in requests[0]}
    try:
        outputs = _call(endpoint, joined)
    except Exception as error:  # Whatever it is, it is of one of them.
        if len(requests) > 1:
            return [_answer_all(endpoint, [columns])[0] for columns in requests]
        return [_explained(endpoint, joined, error)]
    ends = np.cumsum([_count(columns) for columns in requests])
    return [{key: value[end - _count(columns) : end] for key, value in outputs.items()} for columns, end in zip(requests, ends)]


def _explained(endpoint, columns, error):
    """Says which row cannot be answered and why; an error that is not of a row stays what it is."""
    if not isinstance(error, tf.errors.InvalidArgumentError):
        return error
    for place in range(_count(columns)):
        try:
            _call(endpoint, {key: values[place : place + 1] for key, values in columns.items()})
        except tf.errors.InvalidArgumentError as found:
            return InvalidInput(f"Expected values that can be decoded. Received in row {place}: {_said(found.message)}")
        except Exception as found:
            return found
    return error


def _said(message):
    """What an operation says, without where in the graph it stands."""
    lines = [line.strip() for line in re.sub(r"{{.*?}} ", "", message).splitlines()]
    return next((line for line in lines if line and not line.startswith(("Graph execution error", "Detected at", "File ", "[["))), message)[:300]


def _call(endpoint, columns):
    return {key: value.numpy() for key, value in endpoint(**{key: tf.constant(values, tf.string) for key, values in columns.items()}).items()}


def _kind(dtype):
    """What the Open Inference Protocol calls a type."""
    return "BYTES" if dtype.kind == "O" else {"f": "FP32", "i": "INT64"}[dtype.kind]


def _count(columns):
    return len(next(iter(columns.values())))


def _unnamed(signature, place):
    """What a value without a name is a value of, where there is but one field, or argument."""
    fields = [name for name in signature if f"{name}_language" in signature] or signature
    if len(fields) > 1:
        raise InvalidInput(f"{place}: expected values with names, of {', '.join(signature)}. Received one without")
    return fields[0]


def _check_names(row, signature, place):
    unknown = [name for name in row if name not in signature]
    if unknown or not row:
        raise InvalidInput(f"{place}: expected some of {', '.join(signature)}. Received: {', '.join(map(str, unknown)) or 'none'}")


def _raw(value, place):
    """The bytes of a value: a string, or bytes as `{"b64": ...}`."""
    if isinstance(value, (str, bytes)):
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], (str, bytes)):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f"{place}: expected base64. Received: {error}") from error
    raise InvalidInput(f'{place}: expected a string, or {{"b64": ...}} for bytes. Received: {type(value).__name__}')


class LimitBody:
    """Refuses requests whose body is too large, whatever their header says of it.

    Args:
        app: ASGI application.
        most: bytes.
    """

    def __init__(self, app, most):
        self.app, self.most = app, most

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        messages, size, more = [], 0, True
        while more:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > self.most:
                body = b'{"error": "Expected a body of at most %d bytes."}' % self.most
                await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"application/json"), (b"connection", b"close")]})
                return await send({"type": "http.response.body", "body": body})

        async def replay():
            return messages.pop(0) if messages else await receive()

        return await self.app(scope, replay, send)


def serve(endpoints, name="model", port=8080, max_rows=64, max_bytes=2**25):
    """Serves an export until it is stopped.

    Args:
        endpoints: dict of name to `Endpoint`, see `exporting.load`.
        name: what it is called in addresses: `/v1/models/NAME:predict`, `/v2/models/NAME/infer`.
        port: of HTTP.
        max_rows: most rows of a request.
        max_bytes: most bytes of a request.
    """
    application.add_middleware(LimitBody, most=max_bytes)
    model = ServedModel(name, endpoints, max_rows)
    model.load()
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)  # Two lines for each request; /metrics has it.
    kserve.ModelServer(http_port=port, enable_grpc=False, workers=1, enable_latency_logging=False).start([model])
