"""Figures of this machine, printed as one flat JSON object: `python -m benchmarks [NAME…]`.

Each module that `__main__` names has `measure() -> dict[str, float]`. Figures come from here and never from a timed
test; on a shared machine compare ratios within one run. May import everything; nothing imports it.
"""
