"""The Python side of Heddle: takes calls from a channel, runs them, sends back what they gave.

This is the first of the files that together are one program; README.md beside it names them and says what travels. No dependencies;
Python 3.8 and later: what starts it looks at that. In ASCII, because it also travels as an argument.
"""

import marshal
import os
import sys
import time
import types

# How a call ended: HeddleWire's ResultKind.
RETURNED = 1
RAISED = 3
REFUSED = 4
UNSENDABLE = 5
OUT_OF_MEMORY = 6

#: The marshal version that every supported Python reads and writes alike: no references, no short forms.
FORMAT = 2
#: A call shorter than this (in ns) is taken to have computed all the time: asking the clock of the thread costs 0.7 us.
SHORT_CALL = 50000
#: Longest text of a message or traceback that travels. Unit: characters.
LONGEST_TEXT = 1 << 18
#: How many causes of an exception travel, how many that one groups, and how deep a result may nest.
LONGEST_CAUSE_CHAIN = 16
LONGEST_GROUP = 100
DEEPEST_RESULT = 900
#: How often an initializer that raises is tried before the calls fail for it.
INITIALIZER_TRIES = 3

#: The name of this code in tracebacks; its own frames are taken out of them.
HERE = (lambda: 0).__code__.co_filename

#: Not empty in a sub-interpreter.
SUBINTERPRETER = []
