"""The tool from outside, as a shell would see it: all of the folder `tool`. Run by ToolTests.swift; also by hand:

    HEDDLE=.build/debug/heddle python3 Tests/HeddleCommandTests/tool_tests.py [-k name]

The functions run on the Python that runs this, whichever that is.
"""

import os
import sys
import unittest

if __name__ == "__main__":
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tool")
    unittest.main(module=None, argv=[sys.argv[0], "discover", "-s", folder, "-t", folder] + sys.argv[1:])
