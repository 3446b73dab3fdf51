"""How the policy writes programs: `local` decodes with our own model, `remote` asks an endpoint; `policy` is both."""
