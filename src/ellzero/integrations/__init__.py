"""Adapters to what users already have; each needs its own library and nothing else does."""

__all__: list[str] = []
