"""Make the golden files of the parity tests, with torch and transformers: what the original implementations compute.

    pip install -e ".[parity]"
    python tools/make_golden.py tests/model/golden                       # seconds
    python tools/make_golden.py tests/model/golden --smollm2 DIRECTORY   # a minute

The first writes tiny random Llama, Llama 3, Qwen2 and Qwen3 models, some with rotary scaling, attention biases or a
sliding window, a directory each with weights and `expected.safetensors` (tokens, logits). The second also writes
`smollm2.json`: greedy continuations of SmolLM2, which DIRECTORY holds as safetensors. Prints nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen2Config, Qwen3Config

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "mscale": 0.7,
    "mscale_all_dim": 1.0,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
WINDOW = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama3": LlamaConfig(**SIZES, rope_parameters=LLAMA3),
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
    "llama_yarn_biases": LlamaConfig(**SIZES, rope_parameters=YARN, attention_bias=True, tie_word_embeddings=True),
    "qwen3_linear_biases": Qwen3Config(
        **SIZES, head_dim=8, rope_parameters=LINEAR, attention_bias=True, tie_word_embeddings=True
    ),
    "qwen2_window": Qwen2Config(**SIZES, **WINDOW, tie_word_embeddings=True),
}
NEW_TOKENS = 16
PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "for i in range(10):\n\tprint(i, 'caf\u00e9 \u2603', 3.14159)\n\n\n    x  =  2",
    "SELECT name, count(*) FROM users WHERE id = 12345",
    "\u4f60\u597d\uff0c\u4e16\u754c! It's we'll THEY'RE 2024-01-31",
    "<|im_start|>user\nReverse the list [1, 2, 3].<|im_end|>\n<|im_start|>assistant\n",
]


def tiny(directory: Path) -> None:
    """The random models. Biases and norms are random too, so that a forgotten one shows."""
    for index, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(index)
        model = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.3 + (1.0 if parameter.ndim == 1 else 0.0))
            tokens = torch.randint(0, config.vocab_size, (2, 40))
            logits = model(tokens).logits
        model.save_pretrained(directory / name)
        (directory / name / "generation_config.json").unlink(missing_ok=True)
        save_file({"tokens": tokens, "logits": logits}, directory / name / "expected.safetensors")


def smollm2(directory: Path, source: Path) -> None:
    """Token ids and greedy continuations of the real model."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    greedy = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "eos_token_id": None, "pad_token_id": 2}
    found = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), **greedy)
        found.append({"prompt": prompt, "ids": ids[0].tolist(), "continuation": out[0, ids.shape[1] :].tolist()})
    (directory / "smollm2.json").write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Write everything asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where to write")
    parser.add_argument("--smollm2", type=Path, help="a model directory that transformers can load")
    options = parser.parse_args()
    tiny(options.directory)
    if options.smollm2:
        smollm2(options.directory, options.smollm2)


if __name__ == "__main__":
    main()
