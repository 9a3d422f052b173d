#!/usr/bin/env bash
# Builds a free-threaded Python (without the GIL) from Debian's source package, for the tests of PythonMode.freeThreaded:
#   Scripts/free-threaded-python.sh [FOLDER]      default: .build/python3.13t; takes some 2 minutes on 2 cores
# Then put FOLDER/bin on PATH: the tests look for python3.13t there, and skip by name what needs it where there is none.
# Needs apt-get, a C compiler and make. Nothing of the system is changed: the package list and the source lie in a folder of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:-.build/python3.13t}")
suite=trixie
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" > "$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root "$@"
}
echo "free-threaded-python: fetching Debian $suite's source of Python 3.13"
apt update
(cd "$work" && apt source --download-only python3.13 && tar xf python3.13_*.orig.tar.xz)
cd "$work"/Python-3.13*
echo "free-threaded-python: building"
./configure -q --disable-gil --prefix="$folder" > "$work/log" 2>&1 && make -s -j"$(nproc)" >> "$work/log" 2>&1 && make -s install >> "$work/log" 2>&1 || {
  tail -n 30 "$work/log" >&2
  exit 1
}
"$folder/bin/python3.13t" -c 'import sys; print("free-threaded-python:", sys.executable, sys.version.split()[0], "GIL enabled:", sys._is_gil_enabled())'
