#!/usr/bin/env python3
"""Runs a file of unittest tests; exit status 77, with the reason, where what it needs is missing."""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: numpy is missing (Debian: python3-numpy)")
    sys.exit(77)

sys.path.insert(0, str(HERE))
suite = unittest.defaultTestLoader.loadTestsFromName(pathlib.Path(sys.argv[1]).stem)
result = unittest.TextTestRunner(verbosity=2).run(suite)
sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)
