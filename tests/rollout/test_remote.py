"""A remote policy against a real HTTP server that stalls, fails and recovers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jax
import pytest
from conftest import python

from semrep_jax.core.programs import Finish
from semrep_jax.prompts import rewrite
from semrep_jax.rollout import remote
from semrep_jax.rollout.remote import RemoteError, RemotePolicy
from semrep_jax.rollout.settings import RemoteConfig, RolloutConfig

RETRY_AFTER = "0.2"


@pytest.fixture
def endpoint(monkeypatch):
    """(url, list of request bodies, list of statuses to answer with first)."""
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    bodies, script, lock = [], [], threading.Lock()
    peak = {"now": 0, "most": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                bodies.append((self.path, dict(self.headers), body))
                status = script.pop(0) if script else 200
                peak["now"] += 1
                peak["most"] = max(peak["most"], peak["now"])
            text = f"answer to {body['messages'][-1]['content'][-12:]!r} seed {body['seed']}"
            answer = {
                "choices": [{"message": {"content": text}, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3},
            }
            data = json.dumps(answer if status == 200 else {"error": "no"}).encode()
            if status == "garbage":
                data = b"<html>"
            with lock:
                peak["now"] -= 1
            self.send_response(200 if status == "garbage" else status)
            if status == 429:
                self.send_header("Retry-After", RETRY_AFTER)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", bodies, script, peak
    server.shutdown()


def policy(url, **changes):
    return RemotePolicy(
        RemoteConfig(url=url, model="m", concurrency=3, retries=3, timeout=5.0, **changes), RolloutConfig(max_new=40)
    )


def test_every_prompt_gets_its_own_answers_in_order_and_tokens_are_counted(endpoint):
    url, bodies, _, peak = endpoint
    one = policy(url)
    groups = one.sample([rewrite(python("x = 111111")), rewrite(python("y = 222222"))], 3, 0.5, jax.random.key(0))
    assert [len(g) for g in groups] == [3, 3]
    assert all("111111" in c.text for c in groups[0]) and all("222222" in c.text for c in groups[1])
    assert len({c.text for g in groups for c in g}) == 6  # six seeds
    assert [c.tokens for g in groups for c in g] == [10] * 6 and one.usage.tokens == 60
    assert all(c.finish is Finish.LENGTH and c.logprobs == () for g in groups for c in g)
    assert (one.usage.rollouts, one.usage.prompt_tokens, one.usage.completion_tokens) == (6, 42, 18)
    path, _, body = bodies[0]
    assert (
        path == "/v1/chat/completions" and body["max_tokens"] == 40 and body["temperature"] == 0.5 and peak["most"] <= 3
    )


def test_the_same_key_asks_with_the_same_seeds(endpoint):
    url, *_ = endpoint
    first, again = (policy(url).sample([rewrite(python("x = 1"))], 2, 0.5, jax.random.key(3)) for _ in range(2))
    assert [c.text for c in first[0]] == [c.text for c in again[0]]


@pytest.mark.parametrize("trouble", [429, 503, "garbage"])
def test_passing_trouble_is_tried_again(endpoint, trouble):
    url, bodies, script, _ = endpoint
    script.extend([trouble, trouble])
    (group,) = policy(url).sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert "answer" in group[0].text and len(bodies) == 3


def test_pauses_double_and_are_raised_to_what_is_asked_for_up_to_the_cap(endpoint, monkeypatch):
    url, _, script, _ = endpoint
    pauses = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    monkeypatch.setattr(remote.random, "uniform", lambda low, high: 1.0)
    monkeypatch.setattr(remote, "LONGEST_PAUSE", 0.3)
    script.extend([503, 503, 429])
    policy(url).sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert pauses == [0.01, 0.02, 0.2]
    pauses.clear()
    script.extend([429, 429, 503])
    policy(url).sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert pauses == [0.2, 0.3, 0.3]


def test_lasting_trouble_and_refusals_are_errors_and_never_empty_answers(endpoint):
    url, bodies, script, _ = endpoint
    script.extend([503] * 4)
    with pytest.raises(RemoteError, match=r"no answer in 4 tries \(status 503\)"):
        policy(url).sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    script.append(401)
    before = len(bodies)
    with pytest.raises(RemoteError, match="refuses with status 401"):
        policy(url).sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert len(bodies) == before + 1
    with pytest.raises(RemoteError, match=r"is it up, is remote\.url right"):
        policy("http://127.0.0.1:9/v1").sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "no",
        None,
        {"choices": []},
        {"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}]},
        {"choices": ["x"]},
        {"choices": [{"message": {"content": "x"}}], "usage": [7]},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -(10**9), "completion_tokens": 1}},
        {"choices": [{"message": {"content": "x"}}], "usage": {"completion_tokens": "3"}},
    ],
    ids=str,
)
def test_an_answer_that_is_no_completion_is_an_error_that_shows_it(endpoint, monkeypatch, answer):
    one = policy(endpoint[0])
    monkeypatch.setattr(one, "_ask", lambda body: answer)
    with pytest.raises(RemoteError, match="no chat completion"):
        one.sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert one.usage.tokens == 0


@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {"prompt_tokens": None, "completion_tokens": None}}])
def test_an_endpoint_that_counts_no_tokens_is_not_taken_for_a_free_one(endpoint, monkeypatch, usage):
    one = policy(endpoint[0])
    monkeypatch.setattr(one, "_ask", lambda body: {"choices": [{"message": {"content": "x"}}]} | usage)
    ((said,),) = one.sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert said.text == "x" and said.cost is None


def test_half_of_a_surrogate_pair_in_an_answer_is_a_letter_that_files_can_hold(endpoint, monkeypatch):
    one = policy(endpoint[0])
    monkeypatch.setattr(one, "_ask", lambda body: {"choices": [{"message": {"content": "x = '\ud800'"}}]})
    ((said,),) = one.sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert said.text == "x = '?'"


def test_the_key_comes_from_the_environment_and_is_asked_for_by_name(endpoint, monkeypatch):
    url, bodies, *_ = endpoint
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(RemoteError, match="no SOME_KEY"):
        policy(url, key_variable="SOME_KEY")
    monkeypatch.setenv("SOME_KEY", "secret")
    policy(url, key_variable="SOME_KEY").sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert bodies[-1][1]["Authorization"] == "Bearer secret"
    monkeypatch.setenv("SOME_KEY", "from a file\n")
    policy(url, key_variable="SOME_KEY").sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))
    assert bodies[-1][1]["Authorization"] == "Bearer from a file"
    for key in ("schlüssel", "two\nlines", " "):
        monkeypatch.setenv("SOME_KEY", key)
        with pytest.raises(RemoteError, match="what SOME_KEY holds can't be sent") as said:
            policy(url, key_variable="SOME_KEY")
        assert not key.strip() or key.strip() not in str(said.value)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://localhost:port/v1", "ftp://here", ""])
def test_an_url_that_no_request_can_go_to_is_refused_at_once(url):
    with pytest.raises(RemoteError, match=r"remote\.url: "):
        policy(url)


def test_a_prompt_that_no_request_can_carry_is_refused_and_not_sent(endpoint):
    url, bodies, *_ = endpoint
    with pytest.raises(RemoteError, match="text that can't be sent"):
        policy(url).sample([rewrite(python("x = '\udcff'"))], 1, 0.5, jax.random.key(0))
    assert not bodies


def test_a_completion_that_is_withheld_is_an_error_and_no_empty_answer(endpoint, monkeypatch):
    one = policy(endpoint[0])
    withheld = {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}
    monkeypatch.setattr(one, "_ask", lambda body: withheld)
    with pytest.raises(RemoteError, match=r"withholds a completion .*content_filter"):
        one.sample([rewrite(python("x = 1"))], 1, 0.5, jax.random.key(0))


def test_as_many_requests_are_under_way_as_the_setting_says():
    one = policy("http://localhost:1/v1")
    assert one.client._transport._pool._max_connections == 3
    many = RemotePolicy(RemoteConfig(url="http://localhost:1/v1", concurrency=240), RolloutConfig())
    assert many.client._transport._pool._max_connections == 240
