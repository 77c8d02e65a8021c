"""``python -m bench``: every benchmark, one after the other."""

import sys

from bench import carry, engine, evaluate

sys.exit(max(evaluate.main([]), carry.main([]), engine.main([])))
