"""How the policy writes programs: `local` decodes with our own model."""
