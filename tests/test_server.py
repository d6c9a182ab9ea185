import asyncio
import base64
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
import tensorflow as tf

kserve = pytest.importorskip("kserve")

from cross_modal import server  # noqa: E402
from cross_modal.tasks import Endpoint  # noqa: E402

STRING = tf.TensorSpec((None,), tf.string)


def size(**raw):
    """Half the length of a text, which must not hold an x, and its first letter."""
    with tf.control_dependencies([tf.debugging.assert_equal(tf.strings.regex_full_match(raw["text"], ".*x.*"), False, "no x, please")]):
        return {"half": tf.cast(tf.strings.length(raw["text"]), tf.float32) / 2, "first": tf.strings.substr(raw["text"], 0, 1)}


def only(**raw):
    return {"length": tf.strings.length(raw["text"]) + 10 * tf.strings.length(raw["text_language"])}


@pytest.fixture
def model():
    signature = {"text": STRING, "text_language": STRING}
    made = server.ServedModel("m", {"serving_default": Endpoint(size, signature), "only": Endpoint(only, signature)}, max_rows=4)
    assert made.load()
    return made


def ask(model, payload):
    return asyncio.run(model.predict(payload))


def test_rows_and_columns_as_tensorflow_serving_has_them(model):
    assert ask(model, {"instances": [{"text": "abc"}, {"text": {"b64": base64.b64encode(b"zz").decode()}}]}) == {
        "predictions": [{"half": 1.5, "first": "a"}, {"half": 1.0, "first": "z"}]
    }
    assert ask(model, {"inputs": {"text": ["abc", "d"]}}) == {"outputs": {"half": [1.5, 0.5], "first": ["a", "d"]}}
    assert ask(model, {"signature_name": "only", "instances": ["abc", {"text": "d", "text_language": "en"}]}) == {"predictions": [3, 21]}
    assert ask(model, {"signature_name": "only", "inputs": {"text": ["abc"], "text_language": ["de"]}}) == {"outputs": [23]}
    assert ask(model, json.dumps({"signature_name": "only", "instances": ["é"]}).encode()) == {"predictions": [2]}


def test_open_inference(model):
    request = kserve.InferRequest("m", [kserve.InferInput("text", [2], "BYTES", ["abc", "d"])], request_id="7", parameters={"signature_name": "serving_default"})
    answer = ask(model, request)
    assert answer.id == "7" and {one.name: one.data for one in answer.outputs} == {"half": [1.5, 0.5], "first": ["a", "d"]}
    coded = kserve.InferInput("text", [1], "BYTES", [base64.b64encode(b"abc").decode()], parameters={"content_type": "base64"})
    assert ask(model, kserve.InferRequest("m", [coded])).outputs[0].data == [1.5]
    assert [one["name"] for one in model.get_input_types()] == ["text", "text_language"] and {one["name"]: one["datatype"] for one in model.get_output_types()} == {
        "half": "FP32",
        "first": "BYTES",
    }


def test_bytes_are_coded_as_tensorflow_serving_does(model):
    def coded(**raw):
        return {"png_bytes": tf.strings.join(["\x89", raw["text"]]), "texts": tf.stack([raw["text"], raw["text"] + "é"], 1)}

    model.endpoints["coded"] = Endpoint(coded, {"text": STRING})
    raw = base64.b64encode("\x89a".encode()).decode()
    assert ask(model, {"signature_name": "coded", "instances": ["a"]}) == {"predictions": [{"png_bytes": {"b64": raw}, "texts": ["a", "aé"]}]}
    request = kserve.InferRequest("m", [kserve.InferInput("text", [1], "BYTES", ["a"])], parameters={"signature_name": "coded"})
    found = {one.name: one for one in ask(model, request).outputs}
    assert found["png_bytes"].data == [raw] and dict(found["png_bytes"].parameters)["content_type"] == "base64"


@pytest.mark.parametrize(
    "payload, words",
    [
        ({}, 'Expected {"instances": ...'),
        ({"instances": [], "inputs": {}}, "Received neither or both"),
        (b"{", "Expected JSON"),
        ({"instances": []}, "Expected 1 to 4 rows in a request. Received: 0"),
        ({"instances": ["a"] * 5}, "Expected 1 to 4 rows in a request. Received: 5"),
        ({"instances": "a"}, "instances to be a list. Received: str"),
        ({"instances": [{"txt": "a"}]}, r"instances\[0\]: expected some of text, text_language. Received: txt"),
        ({"instances": ["a", {"text": 3}]}, r"instances\[1\].text: expected a string, or .*Received: int"),
        ({"instances": [{"text": {"b64": "?"}}]}, r"instances\[0\].text: expected base64"),
        ({"inputs": {"text": ["a"], "text_language": ["en", "de"]}}, "as many values of each input. Received: {'text': 1, 'text_language': 2}"),
        ({"signature_name": "none", "instances": ["a"]}, "signature_name to be one of only, serving_default. Received: 'none'"),
        ({"instances": ["a", "bx", "c"]}, "can be decoded. Received in row 1: .*no x, please"),
        ({"signature_name": ["only"], "instances": ["a"]}, r"signature_name to be one of only, serving_default. Received: \['only'\]"),
        (kserve.InferRequest("m", [kserve.InferInput("text", [1], "INT32", [1])]), "datatype BYTES. Received: text of INT32"),
        (kserve.InferRequest("m", [kserve.InferInput("text", [1], "BYTES", ["a", "b"])]), "as many values of text as its shape says, .1.. Received: "),
    ],
)
def test_a_bad_request_is_told_and_costs_nothing(model, payload, words):
    with pytest.raises(kserve.errors.InvalidInput, match=words.replace('{"instances": ...', '{"instances"')):
        ask(model, payload)
    assert ask(model, {"signature_name": "only", "instances": ["a"]}) == {"predictions": [1]}


def test_a_value_without_a_name_is_of_the_one_field(model):
    """Arguments of an export are in the order of their names: the first may be the language that is asked for."""

    def told(**raw):
        return {"said": tf.strings.join([raw["text"], raw["target_language"]], "|")}

    signature = {name: STRING for name in ("target_language", "text", "text_language")}
    model.endpoints["write"] = Endpoint(told, signature)
    assert ask(model, {"signature_name": "write", "instances": ["two dogs"]}) == {"predictions": ["two dogs|"]}
    assert ask(model, {"signature_name": "write", "inputs": ["two dogs"]}) == {"outputs": ["two dogs|"]}
    model.endpoints["both"] = Endpoint(told, {"image": STRING, "image_language": STRING, **signature})
    with pytest.raises(kserve.errors.InvalidInput, match=r"instances\[0\]: expected values with names, of image, .*Received one without"):
        ask(model, {"signature_name": "both", "instances": ["two dogs"]})


def test_requests_that_wait_together_are_answered_together(model, monkeypatch):
    calls, began = [], threading.Event()

    def counted(**raw):
        calls.append(int(raw["text"].shape[0]))
        began.set()
        time.sleep(0.1)
        return {"length": tf.strings.length(raw["text"])}

    class Slow:
        signature = {"text": STRING}

        def __call__(self, **raw):
            return counted(**raw)

    model.endpoints["slow"] = Slow()

    async def many():
        return await asyncio.gather(*(model.predict({"signature_name": "slow", "instances": ["a" * (n + 1)]}) for n in range(9)))

    assert [one["predictions"] for one in asyncio.run(many())] == [[n + 1] for n in range(9)]
    assert calls == [4, 4, 1]

    async def too_many():
        asked = ({"signature_name": "slow", "instances": ["a"]} for _ in range(9))
        return await asyncio.gather(*map(model.predict, asked), return_exceptions=True)

    monkeypatch.setattr(server, "_WAITING", 2)
    answers = asyncio.run(too_many())
    assert answers[:8] == [{"predictions": [1]}] * 8 and isinstance(answers[8], kserve.errors.ServerNotReady)


def test_an_error_of_any_kind_is_of_its_request_alone(model):
    """Also one that comes when a row is asked again by itself."""

    def odd(**raw):
        values = [one.decode() for one in raw["text"].numpy()]
        if "bad" in values:
            raise RuntimeError("out of something") if len(values) == 1 else tf.errors.InvalidArgumentError(None, None, "")
        return {"length": tf.strings.length(raw["text"])}

    model.endpoints["odd"] = type("Odd", (), {"signature": {"text": STRING}, "__call__": lambda self, **raw: odd(**raw)})()

    async def many():
        asked = [{"signature_name": "odd", "instances": texts} for texts in (["a", "bad"], ["b"])]
        return await asyncio.gather(*map(model.predict, asked), return_exceptions=True)

    wrong, right = asyncio.run(many())
    assert isinstance(wrong, RuntimeError) and right == {"predictions": [1]}
    assert ask(model, {"signature_name": "odd", "instances": ["abc"]}) == {"predictions": [3]}


def test_types_are_told_as_they_are_answered(model):
    assert [(one["name"], one["datatype"]) for one in model.get_output_types()] == [("half", "FP32"), ("first", "BYTES")]
    model.endpoints["serving_default"] = model.endpoints["only"]
    assert [(one["name"], one["datatype"]) for one in model.get_output_types()] == [("length", "INT64")]


def test_one_bad_request_costs_no_other_its_answer(model):
    async def many():
        return await asyncio.gather(*(model.predict({"instances": [text]}) for text in ("ab", "xx", "abcd")), return_exceptions=True)

    one, two, three = asyncio.run(many())
    assert one["predictions"][0]["half"] == 1.0 and three["predictions"][0]["half"] == 2.0 and isinstance(two, kserve.errors.InvalidInput)


@pytest.mark.parametrize("chunks, status", [([b"1234", b"56"], 200), ([b"1234", b"5678", b"9012"], 413)])
def test_bodies_are_limited(chunks, status):
    sent, taken = [], []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            taken.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200})

    messages = [{"type": "http.request", "body": body, "more_body": place < len(chunks) - 1} for place, body in enumerate(chunks)]

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(server.LimitBody(app, 10)({"type": "http"}, receive, send))
    assert sent[0]["status"] == status and taken == (chunks if status == 200 else [])


def test_a_real_server_answers(tmp_path):
    module = tf.Module()
    module.double = tf.function(lambda text: {"twice": tf.strings.join([text, text])}, input_signature=[tf.TensorSpec((None,), tf.string, name="text")])
    tf.saved_model.save(module, str(tmp_path / "run" / "export"), signatures={"serving_default": module.double.get_concrete_function()})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cross_modal", "serve", str(tmp_path / "run"), "--port", str(port), "--max-bytes", "1000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "/v1/models/run:predict and /v2/models/run/infer: serving_default; metrics at /metrics" in process.stderr.readline()
            threading.Thread(target=process.stderr.read, daemon=True).start()
            for _ in range(300):
                try:
                    assert _get(port, "/v2/health/ready")[1] == {"ready": True}
                    break
                except urllib.error.URLError:
                    time.sleep(0.1)
            assert _get(port, "/v1/models/run:predict", {"instances": ["ab", "ü"]}) == (200, {"predictions": ["abab", "üü"]})
            status, answer = _get(port, "/v1/models/run:predict", {"instances": [3]})
            assert status == 400 and "expected a string" in answer["error"]
            assert _get(port, "/v1/models/other:predict", {"instances": ["a"]})[0] == 404
            assert _get(port, "/v1/models/run:predict", {"instances": ["a" * 2000]})[0] == 413
            body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["ab"]}]}
            assert _get(port, "/v2/models/run/infer", body)[1]["outputs"][0]["data"] == ["abab"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                assert b"request_predict_seconds_count" in answer.read()
        finally:
            process.terminate()


def _get(port, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
