/// What `heddle map --help` says between the usage and the options.
let mapDiscussion = """
  EXAMPLES
    heddle map photos.py:thumbnail *.jpg
    find . -name '*.py' | heddle map count.py:lines --inputs -
    heddle map fetch.py:page --inputs urls.txt --on threads -j 32 --retries 2
    heddle map train.py:run --inputs grid.csv --input-format csv \\
        --output runs.jsonl --resume
    heddle map -- ffmpeg -i {} out/{/.}.mp4 ::: *.mov
    heddle map --shell -- 'grep -c ERROR {} | tee {.}.count' ::: logs/*.log

  COMMANDS
    In a command {} is the input, {.} the input without its extension, {/} its
    last part, {//} its folder, {/.} its last part without extension, {#} the
    number of the call, {%} the place among those that run at once, {name} the
    CSV column or JSON member of that name. Without any of them the input is
    the last argument. What the command writes to standard output is the value
    of its row; a command that exits with another status than 0 has failed,
    with the code exception and its status as "exit".
    The names of options are GNU parallel's where it has them; other than
    there, --retries counts the tries after the first.

  THREADS OR PROCESSES
    --on auto runs the first calls in processes and measures them. Where they
    compute less than a quarter of their time, the others run on threads of one
    process, where they share the module's globals and one that crashes takes
    those along that run beside it; it says what it chose. With --timeout or
    --memory-limit it stays with processes.

  RESUMING
    --resume knows an input by its value, not by its line, so the list may have
    grown or been sorted. What has made the rows is noted in a hidden file
    beside them, and a warning says where the function's file has changed.

  RESULTS
    One JSON object a line, on standard output or in the --output file, each as
    soon as its call ends. Here, two that are broken to fit the page:

    {"index": 0, "input": "a.jpg", "ok": true, "value": 7,
     "seconds": 0.12, "attempts": 1}
    {"index": 1, "input": "b.jpg", "ok": false,
     "error": {"code": "exception", "type": "ValueError",
               "message": "...", "traceback": "..."},
     "seconds": 0.01, "attempts": 1}

    "code" is exception, or workerDied (with "exit": "SIGSEGV" or "exit 3"),
    timedOut, memoryLimitExceeded, notEncodable, notDecodable, workerNotStarted.
    "seconds" is how long the last try took. bytes are written as base64, NaN
    and Infinity as Python's json writes them. What the function prints goes to
    standard error, with a summary at the end.

  OPTIONS FROM ELSEWHERE
    Options that say how things are run can stand in the environment, as
    HEDDLE_MAP_TIMEOUT=30s, and in a JSON file, as
    {"map": {"workers": 8, "timeout": "30s", "keep-order": true}}. The command
    line counts most, then the environment. One that does not go with a run, as
    memory-limit with a command, is left out there.

  EXIT STATUS
    0    every input succeeded
    1    some failed, or the results could not be written to the end
    2    wrong usage, target, interpreter or input; nothing was run
    130  interrupted: after Ctrl-C what runs has 5 seconds, and nothing more
         starts; a second Ctrl-C ends at once
  """
