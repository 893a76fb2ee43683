#!/usr/bin/env python3
"""Runs a file of unittest tests; exit status 77, with the reason, where what it needs is missing."""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True


def main() -> int:
    try:
        import numpy  # noqa: F401
    except ImportError:
        print("skipped: numpy is missing (Debian: python3-numpy)")
        return 77
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.loadTestsFromName(pathlib.Path(sys.argv[1]).stem)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if result.wasSuccessful() and result.skipped and len(result.skipped) == result.testsRun:
        return 77  # the reasons were printed
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":  # processes that tests start import this file
    sys.exit(main())
