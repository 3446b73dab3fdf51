"""The paper's case studies, each with a judge that gives nothing away, and the space of programs that is searched."""
