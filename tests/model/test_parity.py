"""Against the original implementations: their recorded outputs by default, themselves under the `parity` marker.

The golden files are made by tools/make_golden.py with torch and transformers.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from safetensors.numpy import load_file

from semrep_jax.model import pretrained, sharding
from semrep_jax.model.tensors import Directory
from semrep_jax.model.tokenizer import Tokenizer

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = ("llama", "llama3", "qwen2", "qwen3", "llama_yarn_biases", "qwen3_linear_biases", "qwen2_window")
SMOLLM2 = Path("~/.cache/semrep_jax/SmolLM2-135M-Instruct.Q4_1.gguf").expanduser()
needs_smollm2 = pytest.mark.skipif(not SMOLLM2.is_file(), reason="SmolLM2 is not here: python tools/get_smollm2.py")


class WithoutText(Directory):
    """A tiny model has no text: it is loaded with the nano tokenizer's class left out."""

    def tokenizer(self):
        return Tokenizer(tokenizers.Tokenizer(tokenizers.models.BPE()), (0,), 0)


def load(name):
    return pretrained.load(WithoutText(GOLDEN / name), sharding.build())


def logits(loaded, tokens):
    size = tokens.shape

    @jax.jit
    def forward(params):
        bound = loaded.model.bind(params)
        hidden = bound.hidden(tokens, jnp.broadcast_to(jnp.arange(size[1]), size), jnp.ones(size, jnp.int32))
        return jnp.einsum("btd,vd->btv", hidden, bound.head())

    return forward(loaded.params)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_transformers(name):
    expected = load_file(GOLDEN / name / "expected.safetensors")
    got = logits(load(name), jnp.array(expected["tokens"], jnp.int32))
    assert np.abs(np.asarray(got) - expected["logits"]).max() <= 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_an_export_holds_the_same_tensors_under_the_same_names(name, tmp_path):
    loaded = load(name)
    pretrained.export(tmp_path, loaded.model, loaded.params, loaded.tokenizer)
    theirs, ours = load_file(GOLDEN / name / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    theirs.pop("lm_head.weight", None) if loaded.model.shape.tied else None
    assert theirs.keys() == ours.keys()
    assert all(np.array_equal(theirs[k], ours[k]) for k in theirs)


@pytest.fixture(scope="module")
def smollm2():
    return pretrained.load(str(SMOLLM2), sharding.build())


@needs_smollm2
def test_smollm2_reads_and_goes_on_as_in_transformers(smollm2):
    for row in json.loads((GOLDEN / "smollm2.json").read_text()):
        assert smollm2.tokenizer.encode(row["prompt"]) == row["ids"], row["prompt"]
        assert smollm2.tokenizer.decode(row["ids"]) == row["prompt"]
        whole = jnp.array([row["ids"] + row["continuation"]])
        best = np.asarray(logits(smollm2, whole).argmax(-1))[0, len(row["ids"]) - 1 : -1]
        assert best.tolist() == row["continuation"], row["prompt"]


@pytest.mark.parity
@pytest.mark.parametrize("name", FAMILIES)
def test_live_transformers_loads_our_export_to_the_same_logits(name, tmp_path):
    torch = pytest.importorskip("torch", reason="pip install -e '.[parity]'")
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[parity]'")
    loaded = load(name)
    pretrained.export(tmp_path, loaded.model, loaded.params, loaded.tokenizer)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokens = np.random.default_rng(5).integers(0, loaded.model.shape.vocab, (2, 50))
    with torch.inference_mode():
        want = model(torch.tensor(tokens)).logits.numpy()
    assert np.abs(np.asarray(logits(loaded, jnp.array(tokens))) - want).max() <= 1e-4


@pytest.mark.parity
@needs_smollm2
def test_live_transformers_reads_our_smollm2_and_goes_on_greedily_alike(smollm2, tmp_path):
    torch = pytest.importorskip("torch", reason="pip install -e '.[parity]'")
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[parity]'")
    pretrained.export(tmp_path, smollm2.model, smollm2.params, smollm2.tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    for row in json.loads((GOLDEN / "smollm2.json").read_text()):
        ids = theirs(row["prompt"], add_special_tokens=False).input_ids
        assert ids == row["ids"]
        given = torch.tensor([ids])
        settings = {"do_sample": False, "max_new_tokens": 16, "eos_token_id": None, "pad_token_id": 2}
        out = model.generate(given, attention_mask=torch.ones_like(given), **settings)
        assert out[0, len(ids) :].tolist() == row["continuation"]
    chat = [{"role": "user", "content": "Hello?"}]
    assert theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == smollm2.tokenizer.chat(chat)
