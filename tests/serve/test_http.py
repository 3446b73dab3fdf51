"""The endpoint, asked by the real `openai` client: answers, streams, seeds, refusals, clients that leave or hang."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import jax
import pytest
from serving import PROGRAM, chat

from semrep_jax.core.programs import Completion, Finish
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.serve import logprobs, semrep
from semrep_jax.serve.answers import Delta
from semrep_jax.serve.batcher import idle
from semrep_jax.serve.server import fingerprint
from semrep_jax.serve.settings import ServeConfig

openai = pytest.importorskip("openai", reason="pip install -e '.[dev]'")
ROOT = Path(__file__).parent.parent.parent
FENCED = re.compile(r"```python\n.*\n```", re.DOTALL)


def told(answer):
    return [choice.message.content for choice in answer.choices]


def raw(server, text, body=b"", wait=True):
    """What a socket answers to a request written by hand; the socket itself where `wait` is false."""
    host, port = server.url.removeprefix("http://").split(":")
    one = socket.create_connection((host, int(port)), timeout=30)
    one.sendall(text.replace("\n", "\r\n").encode() + body)
    if not wait:
        return one
    with closing(one):
        return one.makefile("rb").read().decode()


def posted(server, body, path="/v1/chat/completions", **headers):
    head = f"POST {path} HTTP/1.1\nHost: x\nConnection: close\nContent-Length: {len(body)}\n"
    head += "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    answer = raw(server, head + "\n", body)
    status = int(answer.split()[1])
    return status, json.loads(answer.partition("\r\n\r\n")[2])


def test_the_models_are_listed_and_health_and_metrics_answer(server, client):
    assert [model.id for model in client.models.list().data] == ["semrep", "semrep-rewrite", "direct"]
    assert client.models.retrieve("direct").owned_by == "semrep_jax"
    assert '"ok"' in raw(server, "GET /health HTTP/1.1\nHost: x\nConnection: close\n\n")
    told(client.chat.completions.create(model="direct", messages=chat()))
    metrics = raw(server, "GET /metrics HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert re.search(r'semrep_requests_total\{endpoint="chat",model="direct",status="200"\} [1-9]', metrics)
    assert "semrep_rows 4.0" in metrics and "# TYPE semrep_request_seconds histogram" in metrics


def test_an_answer_is_one_code_block_and_its_stream_says_the_same(client):
    how = {"model": "direct", "messages": chat(), "seed": 5, "extra_body": {"repeat": 0}, "n": 3}
    whole = client.chat.completions.create(**how)
    assert all(FENCED.fullmatch(text) for text in told(whole))
    assert whole.choices[0].finish_reason == "stop" and whole.usage.prompt_tokens > 40
    streamed, usage, finishes = ["", "", ""], None, {}
    for piece in client.chat.completions.create(**how, stream=True, stream_options={"include_usage": True}):
        usage = piece.usage or usage
        for choice in piece.choices:
            streamed[choice.index] += choice.delta.content or ""
            finishes[choice.index] = choice.finish_reason
    assert streamed == told(whole) and usage == whole.usage
    assert finishes == {0: "stop", 1: "stop", 2: "stop"}


def test_one_constant_seed_repeats_no_answer_and_a_repeat_is_had_by_asking(client):
    how = {"model": "semrep-rewrite", "messages": chat(), "seed": 42, "temperature": 2.0, "max_tokens": 30}
    answers = [client.chat.completions.create(**how) for _ in range(4)]
    assert [answer.semrep["repeat"] for answer in answers] == [0, 1, 2, 3]
    assert len({told(answer)[0] for answer in answers}) == 4
    again = client.chat.completions.create(**how, extra_body={"repeat": 2}, n=2)
    assert told(again)[0] == told(answers[2])[0] and told(again)[1] != told(again)[0]
    unseeded = client.chat.completions.create(**how | {"seed": None})
    made = unseeded.semrep
    same = client.chat.completions.create(**how | {"seed": made["seed"]}, extra_body={"repeat": made["repeat"]})
    assert told(same) == told(unseeded) and same.system_fingerprint == unseeded.system_fingerprint


def test_many_clients_at_once_each_get_what_they_get_alone(client):
    def one(number):
        how = {"model": ("direct", "semrep-rewrite")[number % 2], "seed": number, "temperature": 1.5}
        answer = client.chat.completions.create(
            **how, messages=chat(PROGRAM.replace("3", str(number))), max_tokens=8 + 3 * number,
            extra_body={"repeat": 0}, logprobs=True,
        )  # fmt: skip
        return told(answer), [entry.logprob for entry in answer.choices[0].logprobs.content]

    alone = [one(number) for number in range(8)]  # twice as many as rows
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(one, range(8))) == alone


def test_log_probs_stops_and_limits_are_kept(client):
    how = {"model": "direct", "messages": chat(), "seed": 1, "temperature": 0}
    answer = client.chat.completions.create(**how, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens
    assert all(entry.top_logprobs[0].token == entry.token and entry.logprob <= 0 for entry in content)
    stopped = client.chat.completions.create(**how, stop=["s = 1", "never"])
    text = told(stopped)[0]
    assert "s = 1" not in text and told(answer)[0].startswith(text.removesuffix("\n```"))
    assert stopped.choices[0].finish_reason == "stop"
    short = client.chat.completions.create(**how, max_tokens=3)
    assert short.usage.completion_tokens == 3 and short.choices[0].finish_reason == "length"


def test_of_a_completion_that_a_stop_ends_no_token_behind_it_is_told_or_counted(client):
    prompt = f"<|rewrite|>{PROGRAM}<|program|>"
    how = {"model": "direct", "prompt": prompt, "seed": 1, "temperature": 0, "logprobs": 1, "stop": ["for"]}
    answer = client.completions.create(**how)
    (choice,) = answer.choices
    *before, last = choice.logprobs.tokens  # the last one begins before the stop
    assert choice.finish_reason == "stop" and choice.text.startswith("".join(before)) and "for" in last
    assert len("".join(before)) < len(choice.text) and answer.usage.completion_tokens == len(before) + 1
    offsets = [sum(map(len, choice.logprobs.tokens[:i])) for i in range(len(choice.logprobs.tokens))]
    assert choice.logprobs.text_offset == offsets
    streamed = [piece.choices[0].logprobs for piece in client.completions.create(**how, stream=True) if piece.choices]
    pieces = [one for one in streamed if one is not None]
    assert [token for one in pieces for token in one.tokens] == choice.logprobs.tokens
    assert [place for one in pieces for place in one.text_offset] == offsets and len(pieces) > 1


def test_log_probs_that_are_not_wanted_are_not_told(client):
    body = {"model": "direct", "prompt": "x", "max_tokens": 2, "extra_body": {"logprobs": False}}
    assert client.completions.create(**body).choices[0].logprobs is None


def test_a_part_of_a_character_is_told_by_its_bytes(nano):
    tokenizer = nano.tokenizer
    first, second = tokenizer.encode("é")
    assert tokenizer.bytes_of(first) + tokenizer.bytes_of(second) == "é".encode()
    assert tokenizer.bytes_of(tokenizer.encode("def")[0]) == tokenizer.decode(tokenizer.encode("def")[:1]).encode()
    delta = Delta(0, "é", (first, second), (-1.0, -2.0), (((first, -1.0), (second, -3.0)), ()))
    chat_words = logprobs.worded(tokenizer, [delta], 2, chat=True)["content"]
    assert bytes(byte for entry in chat_words for byte in entry["bytes"]) == "é".encode()
    plain = logprobs.worded(tokenizer, [delta], 2, chat=False, offset=3)
    assert plain["tokens"] == ["bytes:\\xc3", "bytes:\\xa9"] and len(plain["top_logprobs"][0]) == 2
    assert plain["text_offset"][0] == 3


def test_what_the_server_draws_with_is_part_of_its_fingerprint(nano):
    rollout, words = RolloutConfig(), set()
    for setting in (ServeConfig(), ServeConfig(temperature=2.0)):
        words.add(fingerprint(setting, rollout, nano))
    words.add(fingerprint(ServeConfig(), rollout, replace(nano, digest="other")))
    turned = jax.tree.map(lambda leaf: -leaf, nano.params)
    words.add(fingerprint(ServeConfig(), rollout, replace(nano, params=turned)))
    assert len(words) == 4 and fingerprint(ServeConfig(), rollout, nano) in words


def test_a_connection_that_asks_nothing_is_closed(server):
    for sent in ("", "GET /v1/models HTTP/1.1\nHost: "):
        with closing(raw(server, sent, wait=False)) as connection:
            connection.settimeout(10)
            assert connection.recv(100) == b""
    with closing(raw(server, "GET /v1/models HTTP/1.1\nHost: x\n\n", wait=False)) as connection:
        connection.settimeout(10)
        assert b"200" in connection.recv(65536)
        connection.sendall(b"GET /v1/mo")  # half of the next one
        while connection.recv(65536):
            pass


def test_a_program_may_hold_any_letter(client):
    program = "A = '\0'\n# EVOLVE-BLOCK-START\ndef f(x):\n    return x\n# EVOLVE-BLOCK-END\n"
    text = f"# Current Program\n```python\n{program}```\n# Task\nAdd 3.\n"
    answer = client.chat.completions.create(model="direct", messages=[{"role": "user", "content": text}], max_tokens=4)
    assert "A = '\0'" in told(answer)[0]


def test_an_attempt_whose_prompt_is_too_long_with_a_rewrite_is_made_without(server, client, monkeypatch):
    real = semrep.infer

    def infer(*args, **kwargs):
        found = real(*args, **kwargs)
        if args[3] == 2:
            lost = Completion("", (), (), Finish.PROMPT_TOO_LONG)
            found[0][0] = replace(found[0][0], completion=lost, program="the prompt is longer than rollout.max_prompt")
        return found

    monkeypatch.setattr(semrep, "infer", infer)
    answer = client.chat.completions.create(model="semrep", messages=chat(), n=2, seed=3, temperature=0.7)
    assert [choice.semrep["no_edit_because"] for choice in answer.choices] == [None, None]


def test_a_bare_completion_goes_to_the_policy_as_it_is(client):
    prompt = f"<|rewrite|>{PROGRAM}<|program|>"
    answer = client.completions.create(model="direct", prompt=prompt, seed=1, logprobs=2, temperature=0)
    choice = answer.choices[0]
    assert choice.text.startswith("def run(") and "```" not in choice.text
    assert len(choice.logprobs.tokens) == answer.usage.completion_tokens == len(choice.logprobs.top_logprobs)
    streamed = client.completions.create(model="direct", prompt=prompt, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in streamed) == choice.text


def test_semrep_rewrites_verifies_and_edits_in_one_call(client):
    answer = client.chat.completions.create(model="semrep", messages=chat(), n=2, seed=3, temperature=0.7)
    assert answer.usage.prompt_tokens > 150  # of both turns
    for choice in answer.choices:
        made = choice.semrep
        assert FENCED.fullmatch(choice.message.content) and made["attempts"] == 2
        assert made["edit"] is not None and made["edit"].strip() in choice.message.content
        assert made["verdict"]["behaviour"] in ("equivalent", "different", "unknown")
        assert (made["diff"] == "") == (made["verdict"]["copy"] == "exact")
        if made["verdict"]["behaviour"] == "different":
            assert "run(" in made["verdict"]["counterexample"]
    assert any(choice.semrep["verdict"]["behaviour"] == "different" for choice in answer.choices)
    again = client.chat.completions.create(
        model="semrep", messages=chat(), n=2, seed=3, temperature=0.7, extra_body={"repeat": 0}
    )
    assert told(again) == told(answer)


@pytest.mark.parametrize(
    ("change", "status", "param", "said"),
    [
        ({"model": "gpt-9"}, 404, "model", "there are semrep, semrep-rewrite, direct"),
        ({"temperature": -1}, 400, "temperature", "greater than or equal to 0"),
        ({"top_p": 0}, 400, "top_p", "greater than 0"),
        ({"n": 17}, 400, "n", "at most 16"),
        ({"max_tokens": 0}, 400, "max_tokens", "greater than"),
        ({"stop": ["a", ""]}, 400, "stop", "none of them empty"),
        ({"tools": [{"type": "function"}]}, 400, "tools", "leave it out"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format", "leave it out"),
        ({"messages": []}, 400, "messages", "at least 1"),
        ({"messages": [{"role": "user", "content": "hi"}]}, 400, "messages", "holds no Python program"),
        ({"messages": [{"role": "user", "content": f"```\n{PROGRAM}\n```"}]}, 400, "messages", "no instruction"),
        ({"messages": chat("x = 1\n" * 200)}, 400, "messages", "this server takes 192"),
    ],
)
def test_what_can_not_be_answered_is_refused_as_openai_does(client, change, status, param, said):
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(**{"model": "direct", "messages": chat()} | change)
    assert refused.value.status_code == status
    assert refused.value.body["param"] == param and said in refused.value.body["message"]
    codes = {404: "model_not_found"}
    expected = "context_length_exceeded" if "takes 192" in said else codes.get(status)
    assert refused.value.body["code"] == expected


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b"[1]", b'"x"', b"[" * 60_000, b'{"model": "direct", "messages": "\\ud800"}', b""]
)
def test_a_body_that_is_no_request_is_refused_in_a_line(server, body):
    status, answer = posted(server, body)
    assert status == 400 and answer["error"]["type"] == "invalid_request_error"


def test_a_path_or_method_that_is_not_there_is_named(server):
    assert posted(server, b"{}", "/v1/embeddings")[0] == 404
    assert "405" in raw(server, "GET /v1/completions HTTP/1.1\nHost: x\nConnection: close\n\n").split("\r\n")[0]


def test_a_body_of_100_mb_is_refused_before_it_is_sent_and_one_that_hides_its_size_when_it_shows(server, client):
    head = "POST /v1/chat/completions HTTP/1.1\nHost: x\n"
    told_size = raw(server, f"{head}Content-Length: {100 << 20}\n\n", b"{")
    assert " 413 " in told_size and "longer than 64 KiB" in told_size and "connection: close" in told_size.lower()
    hidden = raw(server, f"{head}Transfer-Encoding: chunked\n\n", b"10010\r\n" + b"x" * 0x10010 + b"\r\n")
    assert " 413 " in hidden
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="direct", messages=chat("#" * 1_000_000))
    assert refused.value.status_code == 413


def test_a_client_that_sends_half_a_request_is_told_so_and_holds_up_nobody(server, client):
    half = raw(server, "POST /v1/completions HTTP/1.1\nHost: x\nContent-Length: 50\n\n", b"{", wait=False)
    assert told(client.chat.completions.create(model="direct", messages=chat(), max_tokens=4))
    with closing(half):
        assert b" 408 " in half.recv(65536)


def test_too_many_are_told_when_to_come_again(server, client):
    gate = server.service.gate
    with gate.entered(gate.most), pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="direct", messages=chat())
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
    assert refused.value.body["code"] == "rate_limit_exceeded"
    patient = client.with_options(max_retries=3)
    assert told(patient.chat.completions.create(model="direct", messages=chat(), max_tokens=2))
    assert gate.inside == 0


def test_without_the_key_there_is_no_answer(server, client):
    object.__setattr__(server.service, "key", "sécret")
    try:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="direct", messages=chat())
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        status, answer = posted(server, b"x" * 10, Authorization="Bearer nope")
        assert status == 401 and answer["error"]["code"] == "invalid_api_key"
        assert posted(server, b"x" * 10, Authorization="Bearer sécret")[0] == 400
    finally:
        object.__setattr__(server.service, "key", None)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_takes_its_completions_along(server, client, monkeypatch, stream):
    monkeypatch.setattr(server.batcher.slots, "end_ids", frozenset())  # they would all run to their longest
    assert idle(server.batcher, 30)
    before = server.batcher.load.tokens
    body = json.dumps({"model": "direct", "messages": chat(), "n": 16, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n"
    leaving = raw(server, head, body, wait=False)
    while server.batcher.load.tokens == before:
        time.sleep(0.005)
    leaving.close()
    assert idle(server.batcher, 30)
    assert 0 < server.batcher.load.tokens - before < 16 * 88
    assert server.service.gate.inside == 0


def test_a_client_that_reads_nothing_of_its_stream_holds_up_nobody(server, client):
    body = json.dumps({"model": "direct", "messages": chat(), "n": 8, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n"
    with closing(raw(server, head, body, wait=False)):
        assert told(client.chat.completions.create(model="direct", messages=chat(), max_tokens=4))
        assert idle(server.batcher, 30)


def test_a_fault_of_ours_is_a_500_and_the_server_goes_on(server, client, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(server.batcher.decoding, "advance", lambda *_: 1 / 0)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="direct", messages=chat())
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="direct", messages=chat(), stream=True))
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="semrep", messages=chat())
    assert told(client.chat.completions.create(model="semrep", messages=chat()))
    assert server.service.gate.inside == 0


def test_a_connection_outlives_a_fault_of_ours(server, monkeypatch):
    body = json.dumps({"model": "direct", "messages": chat(), "max_tokens": 4})
    host = server.url.removeprefix("http://")
    with closing(HTTPConnection(host, timeout=30)) as connection:
        connection.auto_open = 0  # one that was closed is an error, and is not opened again
        connection.connect()
        with monkeypatch.context() as patched:
            patched.setattr(server.batcher.decoding, "advance", lambda *_: 1 / 0)
            statuses = [answered(connection, body), answered(connection, body)]
        assert [*statuses, answered(connection, body)] == [500, 500, 200]


def answered(connection, body):
    """The status of the answer to one more request of a connection."""
    connection.request("POST", "/v1/chat/completions", body)
    answer = connection.getresponse()
    assert json.loads(answer.read())
    return answer.status


def test_sigterm_ends_what_is_under_way_and_then_the_server(tmp_path):
    command = [sys.executable, "-m", "semrep_jax.main", "serve", "--config", str(ROOT / "configs/serve_nano.yaml")]
    overrides = ["serve.port=0", "serve.rows=4", "rollout.max_prompt=192", "rollout.bucket=192"]
    command += [part for override in overrides for part in ("--set", override)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as process:
        url = re.search(r"http://\S+", process.stdout.readline()).group()
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0, timeout=60)
        stream = client.chat.completions.create(model="direct", messages=chat(), stream=True, n=8)
        next(iter(stream))
        process.send_signal(signal.SIGTERM)
        finishes = [choice.finish_reason for piece in stream for choice in piece.choices if choice.finish_reason]
        assert len(finishes) == 8
        assert process.wait(60) == 0
    with pytest.raises(openai.APIConnectionError):
        client.models.list()


def test_an_address_that_is_taken_is_named(server, nano, sandbox):
    from semrep_jax.rollout.settings import RolloutConfig
    from semrep_jax.serve.server import ServeError, Server
    from semrep_jax.serve.settings import ServeConfig

    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ServeError, match=f"serve.port {port}: Address already in use"):
        Server(ServeConfig(port=port), RolloutConfig(), nano, sandbox)
    with pytest.raises(ServeError, match="no NO_SUCH_KEY"):
        Server(ServeConfig(port=0, key_variable="NO_SUCH_KEY"), RolloutConfig(), nano, sandbox)
