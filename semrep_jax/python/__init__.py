"""Python as a language to transform; README.md beside this file lists what is here."""

PYTHON = "python"
