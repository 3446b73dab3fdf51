"""Supervised examples of a form gap: edits of plain programs only, rewrites between all forms.

    FormGap(Generator(kinds=...), tokenizer, setting).draw(np.arange(64))

A base warmed on these can edit programs in the form it knows, and can turn the others into that form: what a rewrite
written first is good for. Pair i is drawn afresh from example i, in a format of its own:

    rewrite   perturbed C_src -> C_src, or C_src -> C_rep in another template
    direct    C_src, I -> C_tgt            guided   C_src, I, C_rep -> C_tgt           all of them plain
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from semrep_jax.core.shards import Record
from semrep_jax.data.records import record_of
from semrep_jax.data.settings import FormGapConfig
from semrep_jax.data.sources import Generated
from semrep_jax.tasks.generated.generator import stable_hash
from semrep_jax.tasks.generated.worlds import Forms


@dataclass(frozen=True)
class FormGap(Generated):
    """Pairs of a form gap. setting: its shares and how far perturbed programs lie from plain ones."""

    setting: FormGapConfig = field(default_factory=FormGapConfig)

    @property
    def identity(self) -> str:
        """What the stream depends on."""
        shares = f"{self.setting.rewrites:g}/{self.setting.perturbed:g}"
        return f"form-gap {shares}: {self._forms.identity} x {self.weight:g}"

    @property
    def _forms(self) -> Forms:
        return Forms(self.generator, self.setting.perturbation)

    def pair(self, index: int) -> tuple[Record, str]:
        """Record and prompt format of pair `index`; a program that has no perturbed twin is rewritten as it is."""
        example = self.generator.example(index)
        record = record_of(example, str(index))
        rng = Random(stable_hash(f"{self.identity}:{index}"))
        if rng.random() >= self.setting.rewrites:
            return record, rng.choice(("direct", "guided"))
        if rng.random() < self.setting.perturbed:
            text = self._forms.perturbed(index, example)
            if text is not None:
                record |= {"source": text, "rewrite": example.source}
        return record, "rewrite"
