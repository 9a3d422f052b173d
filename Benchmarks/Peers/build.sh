#!/usr/bin/env bash
# Builds those peers in other languages that this machine can run: Peers/build.sh FOLDER. Says on standard error which are left out, and why.
# What is built: FOLDER/java/Pools.class, FOLDER/rayon. Python needs none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
left_out() { echo "measure: left out: $1: $2" >&2; }

if ! command -v javac > /dev/null; then
  left_out Java "no javac"
elif [ "$here/Pools.java" -nt "$folder/java/Pools.class" ]; then
  mkdir -p "$folder/java"
  javac -d "$folder/java" "$here/Pools.java" || left_out Java "it does not compile"
fi

# Debian keeps crates as folders, from which cargo builds without a network.
registry=/usr/share/cargo/registry
if ! command -v cargo > /dev/null; then
  left_out rayon "no cargo"
elif ! compgen -G "$registry/rayon-[0-9]*" > /dev/null; then
  left_out rayon "no crate (Debian: librust-rayon-dev)"
elif [ "$here/rayon/src/main.rs" -nt "$folder/rayon" ]; then
  source=$(mktemp -d)
  cp -r "$here/rayon/." "$source"
  if (cd "$source" && cargo build --quiet --release --offline --target-dir "$source/target" \
    --config "source.crates-io.replace-with='debian'" --config "source.debian.directory='$registry'" > "$source/log" 2>&1); then
    cp "$source/target/release/pools" "$folder/rayon"
  else
    left_out rayon "it does not compile: $(tail -n 1 "$source/log")"
  fi
  rm -rf "$source"
fi
