"""The policy as a service: an OpenAI-compatible endpoint over one engine that decodes many requests side by side."""
