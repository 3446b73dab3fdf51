"""Python as a language to transform: canonical form, rewrites, inputs, equivalence and proof, mutations, a person's tests, the judge."""

PYTHON = "python"
