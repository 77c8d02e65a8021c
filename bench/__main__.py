"""``python -m bench``: every benchmark, one after the other."""

import sys

from bench import carry, engine, evaluate, transform

sys.exit(max(evaluate.main([]), transform.main([]), carry.main([]), engine.main([])))
