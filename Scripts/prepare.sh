# To be sourced: looks for what a build needs beside the toolchain, and installs what is missing where that is allowed.
for tool in swift python3; do
  command -v $tool > /dev/null || { echo "$(basename "$0"): $tool is needed and not on PATH" >&2; exit 2; }
done
# GRDB, which writes --output files that are SQLite, is compiled against the system's library.
if [ ! -e /usr/include/sqlite3.h ] && [ ! -e /usr/local/include/sqlite3.h ] && [ "$(uname)" = Linux ]; then
  echo "$(basename "$0"): SQLite's headers are missing; installing libsqlite3-dev" >&2
  { command -v apt-get > /dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libsqlite3-dev; } >&2 || {
    echo "$(basename "$0"): install SQLite's development package (Debian: libsqlite3-dev) and try again" >&2
    exit 2
  }
fi
