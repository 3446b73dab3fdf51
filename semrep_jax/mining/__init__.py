"""Functions of installed packages made into tasks: cut out, called, mutated, rewritten, kept if all of that holds."""
