"""The built-in operators by class: for each its name, what it computes, its C, its reference, and its arrays."""
