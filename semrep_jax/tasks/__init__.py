"""What has to be transformed: `generated` (a grammar of small functions) and `humaneval` (real code with seeded
bugs)."""
