"""Language models in this process: transformers models, their tokens, caches and sampling."""
