"""Functions of real installed packages made into tasks: cut out, called, mutated, rewritten, and kept where all of that holds."""
