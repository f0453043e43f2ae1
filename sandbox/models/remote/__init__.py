"""Language models behind an OpenAI-compatible server: requests, retries and concurrency."""
