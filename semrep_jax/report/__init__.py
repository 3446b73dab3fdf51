"""Results -> a page, tables for the terminal. Knows suites and metrics only through what results say of themselves."""
