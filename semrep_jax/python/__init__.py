"""What two texts have in common once their wording is removed: canonical forms and distances, a file a language."""
